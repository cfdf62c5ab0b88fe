/** A secret that the server shows only once, such as a token. */
import { Button } from "./button.js"
import { CopyButton } from "./copy-button.js"
import { Dialog } from "./dialog.js"
import { Facts } from "./page.js"
import { Notice } from "./states.js"

export function SecretDialog(props: {
  readonly title: string
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly onClose: () => void
}) {
  const { title, facts, onClose } = props
  const done = (
    <Button kind="primary" onClick={onClose}>
      I have saved it
    </Button>
  )
  const shown = facts.map(
    ([name, value]) =>
      [
        name,
        <div key={name} class="copied">
          <code>{value}</code>
          <CopyButton label={`Copy the ${name.toLowerCase()}`} text={value} />
        </div>,
      ] as const,
  )
  return (
    <Dialog title={title} onClose={onClose} footer={done}>
      <Notice kind="warning">The secret is shown only now. The store cannot show it again.</Notice>
      <Facts facts={shown} />
    </Dialog>
  )
}
