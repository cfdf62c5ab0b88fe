/**
 * A button with a menu of actions or links, as screen readers know it: arrow keys, Home, End and first letters move,
 * Escape closes it and gives the focus back. One that is closed is not in the page.
 */
import { useSignal } from "@preact/signals"
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks"
import { Icon, type IconName } from "./icon.js"

export interface MenuItem {
  readonly title: string
  readonly onSelect?: () => void
  /** Makes it a link. */
  readonly to?: string
  /** Makes the link a download with this name. */
  readonly download?: string | undefined
  readonly isDanger?: boolean
}

const ITEM_PX = 36
const MARGIN_PX = 12
/** A menu whose button is scrolled so far away is closed. */
const MOVED_PX = 8

interface Place {
  readonly right: string
  readonly top?: string
  readonly bottom?: string
}

/** Returns the place of a menu: at the button's end, below it if there is room. */
function placeBy(button: DOMRect, items: number): Place {
  const right = `${Math.max(MARGIN_PX / 2, innerWidth - button.right)}px`
  const isRoomy = button.bottom + items * ITEM_PX + MARGIN_PX < innerHeight || button.top < innerHeight / 2
  return isRoomy ? { right, top: `${button.bottom + 2}px` } : { right, bottom: `${innerHeight - button.top + 2}px` }
}

/** Returns the index that a key moves to; undefined if the key moves nothing. */
function movedTo(key: string, at: number, titles: readonly string[]): number | undefined {
  const last = titles.length - 1
  switch (key) {
    case "ArrowDown":
      return at === last ? 0 : at + 1
    case "ArrowUp":
      return at <= 0 ? last : at - 1
    case "Home":
      return 0
    case "End":
      return last
  }
  if (key.length !== 1) return undefined
  const begins = (title: string | undefined) => title?.toLowerCase().startsWith(key.toLowerCase()) === true
  const found = titles.findIndex((title, index) => index > at && begins(title))
  return found >= 0 ? found : titles.findIndex(begins)
}

function Items(props: {
  readonly id: string
  readonly label: string
  readonly items: readonly MenuItem[]
  readonly place: Place
  readonly onClose: (isFocusBack: boolean) => void
}) {
  const { id, label, items, place, onClose } = props
  const list = useRef<HTMLDivElement>(null)
  const entries = () => [...(list.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])]
  // Before anything else can move the focus.
  useLayoutEffect(() => entries()[0]?.focus(), [])
  useEffect(() => {
    const controller = new AbortController()
    const { signal } = controller
    const close = () => onClose(false)
    addEventListener("resize", close, { signal })
    const moved = () => Math.abs((list.current?.parentElement?.getBoundingClientRect().top ?? 0) - top) > MOVED_PX
    const top = list.current?.parentElement?.getBoundingClientRect().top ?? 0
    addEventListener("scroll", () => moved() && close(), { signal, capture: true })
    const onPress = ({ target }: Event) => {
      if (target instanceof Node && list.current?.parentElement?.contains(target) !== true) close()
    }
    addEventListener("pointerdown", onPress, { signal })
    return () => controller.abort()
  }, [])
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.stopPropagation()
      return onClose(true)
    }
    if (event.key === "Tab") return onClose(true)
    const all = entries()
    const at = all.findIndex(entry => entry === document.activeElement)
    const next = movedTo(
      event.key,
      at,
      items.map(({ title }) => title),
    )
    if (next === undefined) return undefined
    event.preventDefault()
    return all[next]?.focus()
  }
  const select = (item: MenuItem) => {
    onClose(true)
    item.onSelect?.()
  }
  return (
    <div ref={list} id={id} class="menu" role="menu" aria-label={label} style={{ ...place }} onKeyDown={onKeyDown}>
      {items.map(item =>
        item.to === undefined ? (
          <button
            key={item.title}
            type="button"
            role="menuitem"
            tabIndex={-1}
            class={item.isDanger === true ? "danger" : ""}
            onClick={() => select(item)}
          >
            {item.title}
          </button>
        ) : (
          <a
            key={item.title}
            role="menuitem"
            tabIndex={-1}
            href={item.to}
            download={item.download}
            onClick={() => onClose(true)}
          >
            {item.title}
          </a>
        ),
      )}
    </div>
  )
}

/** `label`: what the menu is of, for screen readers; with `text` the button shows a word, else only an icon. */
export function Menu(props: {
  readonly label: string
  readonly items: readonly MenuItem[]
  readonly text?: string
  readonly icon?: IconName
  readonly kind?: "plain" | "primary" | "quiet"
}) {
  const { label, items, text, icon = "more", kind = "quiet" } = props
  const place = useSignal<Place | undefined>(undefined)
  const button = useRef<HTMLButtonElement>(null)
  const id = useId()
  const isOpen = place.value !== undefined
  const close = (isFocusBack: boolean) => {
    place.value = undefined
    if (isFocusBack) button.current?.focus()
  }
  const toggle = () => {
    if (isOpen || button.current === null) return close(true)
    place.value = placeBy(button.current.getBoundingClientRect(), items.length)
    return undefined
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "ArrowDown" || isOpen) return
    event.preventDefault()
    toggle()
  }
  return (
    <span class="menu-frame">
      <button
        ref={button}
        type="button"
        class={`button ${kind} ${text === undefined ? "icon-only" : ""}`}
        aria-label={text === undefined ? label : undefined}
        title={text === undefined ? label : undefined}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={toggle}
        onKeyDown={onKeyDown}
      >
        {text === undefined ? (
          <Icon name={icon} />
        ) : (
          <>
            <span>{text}</span>
            <Icon name="down" />
          </>
        )}
      </button>
      {place.value && <Items {...{ id, label, items }} place={place.value} onClose={close} />}
    </span>
  )
}
