/** A part of a page that lists things, with a button that opens the dialog to create another one. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { Button } from "./button.js"
import { Section } from "./page.js"

export function CreateSection(props: {
  readonly title: string
  readonly hint?: string
  /** The text of its button. */
  readonly action: string
  readonly dialog: (close: () => void) => ComponentChildren
  readonly children: ComponentChildren
}) {
  const { title, hint, action, dialog, children } = props
  const isAsking = useSignal(false)
  const button = (
    <Button kind="primary" onClick={() => (isAsking.value = true)}>
      {action}
    </Button>
  )
  return (
    <Section title={title} actions={button} {...(hint === undefined ? {} : { hint })}>
      {children}
      {isAsking.value && dialog(() => (isAsking.value = false))}
    </Section>
  )
}
