/** A secret that the server shows only once: an access key, a token. */
import { Button } from "./button.js"
import { Dialog } from "./dialog.js"
import { Facts } from "./page.js"
import { Notice } from "./states.js"
import { toast } from "./toast.js"

export function SecretDialog(props: {
  readonly title: string
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly onClose: () => void
}) {
  const { title, facts, onClose } = props
  const copy = async (value: string): Promise<void> => {
    try {
      await navigator.clipboard.writeText(value)
      toast("Copied")
    } catch {
      toast("The browser does not let this page copy: select the text instead", "failed")
    }
  }
  return (
    <Dialog title={title} onClose={onClose} footer={<Button onClick={onClose}>I have kept it</Button>}>
      <Notice kind="warning">The secret is shown only now. The store cannot show it again.</Notice>
      <Facts facts={facts.map(([name, value]) => [name, <code key={name}>{value}</code>] as const)} />
      <div class="actions">
        {facts.map(([name, value]) => (
          <Button key={name} onClick={() => void copy(value)}>
            Copy the {name.toLowerCase()}
          </Button>
        ))}
      </div>
    </Dialog>
  )
}
