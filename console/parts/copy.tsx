/** A text with a button that copies it: an address, a command. */
import { CopyButton } from "./copy-button.js"

/** `label`: what is copied. */
export function Copyable({ text, label }: { readonly text: string; readonly label: string }) {
  return (
    <span class="copyable">
      <code>{text}</code>
      <CopyButton label={`Copy the ${label}`} text={text} />
    </span>
  )
}
