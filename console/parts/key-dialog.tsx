/** A new access key: its secret, which the store shows only once, with the lines that clients need. */
import type { KeyWithSecret } from "../api/shapes.js"
import { s3Place } from "../shell/session.js"
import { Button } from "./button.js"
import { ClientLines } from "./client-lines.js"
import { CopyButton } from "./copy-button.js"
import { Dialog } from "./dialog.js"
import { Facts } from "./page.js"
import { Notice } from "./states.js"

const fact = (name: string, text: string) =>
  [
    name,
    <div key={name} class="copied">
      <code>{text}</code>
      <CopyButton label={`Copy the ${name.toLowerCase()}`} text={text} />
    </div>,
  ] as const

export function KeyDialog({ newKey, onClose }: { readonly newKey: KeyWithSecret; readonly onClose: () => void }) {
  const { accessKeyId, secretAccessKey = "", userName } = newKey
  const access = { accessKeyId, secretAccessKey, ...s3Place() }
  const done = (
    <Button kind="primary" onClick={onClose}>
      I have saved it
    </Button>
  )
  const title = userName === undefined ? "The new key" : `The new key of ${userName}`
  return (
    <Dialog title={title} onClose={onClose} footer={done} isWide>
      <Notice kind="warning">The secret is shown only now. The store cannot show it again.</Notice>
      <Facts facts={[fact("Access key", accessKeyId), fact("Secret key", secretAccessKey)]} />
      <ClientLines access={access} name={`hayloft-${userName ?? "root"}`} />
    </Dialog>
  )
}
