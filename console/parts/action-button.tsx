/** Buttons that act: a message says what was done, or why it was not. */
import { useSignal } from "@preact/signals"
import type { ComponentChildren } from "preact"
import { useAction } from "./action.js"
import { Button, IconButton, type ButtonProps } from "./button.js"
import { FormDialog } from "./dialog.js"
import type { IconName } from "./icon.js"
import { toast } from "./toast.js"

/** Acts without asking. `done`: what the message says after a success. */
export function ActionButton(
  props: Omit<ButtonProps, "onClick" | "isBusy" | "type"> & {
    readonly work: () => Promise<void>
    readonly done: string
  },
) {
  const { work, done, ...button } = props
  const action = useAction(work)
  const run = async (): Promise<void> => {
    const succeeded = await action.run()
    if (succeeded) toast(done)
    else if (action.problem.value !== undefined) toast(action.problem.value, "failed")
  }
  return <Button {...button} isBusy={action.isBusy} onClick={() => void run()} />
}

/** Shows only an icon, and acts without asking. */
export function ActionIconButton(props: {
  readonly label: string
  readonly icon: IconName
  readonly work: () => Promise<void>
  readonly done: string
}) {
  const { label, icon, work, done } = props
  const action = useAction(work)
  const run = async (): Promise<void> => {
    const succeeded = await action.run()
    if (succeeded) toast(done)
    else if (action.problem.value !== undefined) toast(action.problem.value, "failed")
  }
  return <IconButton {...{ label, icon }} isBusy={action.isBusy} onClick={() => void run()} />
}

/** Asks before it acts. `question`: what the dialog says; `action`: its button, `title` if absent. */
export function ConfirmButton(
  props: Omit<ButtonProps, "onClick" | "isBusy" | "type"> & {
    readonly title: string
    readonly question: ComponentChildren
    readonly work: () => Promise<void>
    readonly done: string
    readonly action?: string
    readonly dismiss?: string
  },
) {
  const { title, question, work, done, action = title, dismiss = "Cancel", ...button } = props
  const isAsking = useSignal(false)
  const act = async (): Promise<void> => {
    await work()
    toast(done)
  }
  return (
    <>
      <Button {...button} onClick={() => (isAsking.value = true)} />
      {isAsking.value && (
        <FormDialog
          {...{ title, action, dismiss }}
          kind="danger"
          isValid
          work={act}
          onClose={() => (isAsking.value = false)}
        >
          <div>{question}</div>
        </FormDialog>
      )}
    </>
  )
}
