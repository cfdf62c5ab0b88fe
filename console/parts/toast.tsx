/** Short messages about what was done, at the edge of the window and read aloud. Failures stay until they are closed. */
import { signal } from "@preact/signals"
import { IconButton } from "./button.js"
import { Icon } from "./icon.js"

interface Toast {
  readonly id: number
  readonly kind: "done" | "failed"
  readonly text: string
}

const SHOWN_MAX = 4
const SHOWN_MS = 6_000

const toasts = signal<readonly Toast[]>([])
let lastId = 0

const remove = (id: number): void => {
  toasts.value = toasts.value.filter(toast => toast.id !== id)
}

export function toast(text: string, kind: Toast["kind"] = "done"): void {
  const id = (lastId += 1)
  toasts.value = [...toasts.value, { id, kind, text }].slice(-SHOWN_MAX)
  if (kind === "done") setTimeout(() => remove(id), SHOWN_MS)
}

export function Toasts() {
  return (
    <div class="toasts" role="log" aria-live="polite" aria-label="Messages">
      {toasts.value.map(({ id, kind, text }) => (
        <div key={id} class={`toast ${kind}`}>
          <Icon name={kind === "done" ? "check" : "alert"} />
          <p>{text}</p>
          <IconButton label="Close message" icon="close" onClick={() => remove(id)} />
        </div>
      ))}
    </div>
  )
}
