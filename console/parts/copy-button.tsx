/** A button that copies a text: an id, a secret, a command. */
import { IconButton } from "./button.js"
import { toast } from "./toast.js"

export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    toast("Copied")
  } catch {
    toast("The browser does not let this page copy: select the text instead", "failed")
  }
}

/** `label`: what is copied, as in "Copy the secret key". */
export function CopyButton({ label, text }: { readonly label: string; readonly text: string }) {
  return <IconButton label={label} icon="copy" onClick={() => void copyText(text)} />
}
