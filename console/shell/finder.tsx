/** Search of pages and buckets, by Ctrl-K or ⌘K: arrow keys choose, Enter opens, as screen readers announce a combo box. */
import { signal, useSignal } from "@preact/signals"
import { useEffect, useId } from "preact/hooks"
import { addressOf } from "../api/client.js"
import { useLive } from "../api/live.js"
import type { Buckets } from "../api/shapes.js"
import { PAGES } from "../pages.js"
import { Dialog } from "../parts/dialog.js"
import { Icon, type IconName } from "../parts/icon.js"
import { go, pathTo } from "./router.js"
import { ownAccount } from "./session.js"

const SHOWN_MAX = 12
const BUCKETS_MAX = 1_000

const isOpen = signal(false)
export const openFinder = (): void => void (isOpen.value = true)

interface Goal {
  readonly title: string
  readonly kind: "page" | "bucket"
  readonly icon: IconName
  readonly to: string
}

/** Names that begin with the text first, then those that contain it. */
function found(goals: readonly Goal[], text: string): readonly Goal[] {
  const wanted = text.trim().toLowerCase()
  const begins = goals.filter(({ title }) => title.toLowerCase().startsWith(wanted))
  const contains = goals.filter(goal => !begins.includes(goal) && goal.title.toLowerCase().includes(wanted))
  return [...begins, ...contains].slice(0, SHOWN_MAX)
}

function Goals() {
  const [text, at] = [useSignal(""), useSignal(0)]
  const id = useId()
  const query = { owner: ownAccount(), max: BUCKETS_MAX }
  const buckets = useLive<Buckets>(addressOf("/v1/buckets", query)).value?.buckets ?? []
  const goals = found(
    [
      ...PAGES.map(({ title, icon, path }): Goal => ({ title, icon, kind: "page", to: pathTo([path]) })),
      ...buckets.map(({ name }): Goal => ({
        title: name,
        icon: "bucket",
        kind: "bucket",
        to: pathTo(["buckets", name]),
      })),
    ],
    text.value,
  )
  const chosen = Math.min(at.value, goals.length - 1)
  const close = () => (isOpen.value = false)
  const open = (goal: Goal | undefined) => {
    if (goal === undefined) return
    close()
    go(goal.to)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step !== undefined) at.value = (chosen + step + goals.length) % Math.max(1, goals.length)
    else if (event.key === "Enter") open(goals[chosen])
    else return
    event.preventDefault()
  }
  return (
    <Dialog title="Go to" onClose={close}>
      <input
        type="text"
        role="combobox"
        aria-label="Page or bucket"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={goals.length === 0 ? undefined : `${id}-${chosen}`}
        placeholder="Page or bucket"
        autocomplete="off"
        spellcheck={false}
        value={text.value}
        onInput={event => {
          text.value = event.currentTarget.value
          at.value = 0
        }}
        onKeyDown={onKeyDown}
      />
      <ul id={id} class="goals" role="listbox" aria-label="Pages and buckets">
        {goals.map((goal, index) => (
          <li
            key={goal.to}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => open(goal)}
            onPointerMove={() => (at.value = index)}
          >
            <Icon name={goal.icon} />
            <span>{goal.title}</span>
            <span class="faint">{goal.kind}</span>
          </li>
        ))}
      </ul>
      <p role="status" class="hint">
        {goals.length === 0 ? "Nothing has this name" : ""}
      </p>
    </Dialog>
  )
}

export function Finder() {
  useEffect(() => {
    const controller = new AbortController()
    const onKey = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return
      event.preventDefault()
      // A dialog that is open already may have input that would be lost.
      if (document.querySelector("dialog[open]") === null) openFinder()
    }
    addEventListener("keydown", onKey, { signal: controller.signal })
    return () => controller.abort()
  }, [])
  return isOpen.value ? <Goals /> : null
}
