/** The navigation: groups of pages, the theme, and who is signed in. On a phone it opens over the page. */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { PAGES, type ConsolePage } from "../pages.js"
import { Button, IconButton } from "../parts/button.js"
import { Icon, type IconName } from "../parts/icon.js"
import { pathTo, place } from "./router.js"
import { signOut } from "./session.js"
import { storedTheme, storeTheme, THEMES, type Theme } from "./theme.js"

const GROUPS: readonly ConsolePage["group"][] = ["Store", "Data", "Access", "Activity"]

const THEME_ICONS: Readonly<Record<Theme, IconName>> = { system: "system", light: "sun", dark: "moon" }
const THEME_NAMES: Readonly<Record<Theme, string>> = { system: "as the system", light: "light", dark: "dark" }

function ThemeButton() {
  const theme = useSignal(storedTheme())
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "system"
  const change = () => {
    theme.value = next
    storeTheme(next)
  }
  const label = `Theme: ${THEME_NAMES[theme.value]}. Change to ${THEME_NAMES[next]}`
  return <IconButton label={label} icon={THEME_ICONS[theme.value]} onClick={change} />
}

function Group({ group, current }: { readonly group: ConsolePage["group"]; readonly current: string }) {
  const pages = PAGES.filter(page => page.group === group)
  if (pages.length === 0) return null
  return (
    <li>
      <h2>{group}</h2>
      <ul>
        {pages.map(({ path, title, icon }) => (
          <li key={path}>
            <a href={pathTo([path])} aria-current={path === current ? "page" : undefined}>
              <Icon name={icon} />
              {title}
            </a>
          </li>
        ))}
      </ul>
    </li>
  )
}

export function Navigation({ name }: { readonly name: string }) {
  const isOpen = useSignal(false)
  const { page, segments } = place.value
  const close = () => (isOpen.value = false)
  useEffect(() => void close(), [page, segments.join("/")])
  useEffect(() => {
    if (!isOpen.value) return undefined
    const controller = new AbortController()
    addEventListener("keydown", event => event.key === "Escape" && close(), { signal: controller.signal })
    return () => controller.abort()
  }, [isOpen.value])
  return (
    <header class="side">
      <div class="brand">
        <a href={pathTo([PAGES[0]?.path ?? ""])}>
          <img src="/console/icon.svg" alt="" width="26" height="26" />
          Hayloft
        </a>
        <button
          type="button"
          class="button icon-only quiet menu-button"
          aria-label="Menu"
          aria-expanded={isOpen.value}
          aria-controls="navigation"
          onClick={() => (isOpen.value = !isOpen.value)}
        >
          <Icon name={isOpen.value ? "close" : "menu"} />
        </button>
      </div>
      <div id="navigation" class={isOpen.value ? "open" : ""}>
        <nav aria-label="Pages">
          <ul class="groups">
            {GROUPS.map(group => (
              <Group key={group} group={group} current={page} />
            ))}
          </ul>
        </nav>
        <div class="account">
          <span title={name}>{name}</span>
          <ThemeButton />
          <Button kind="quiet" icon="signOut" onClick={() => void signOut()}>
            Sign out
          </Button>
        </div>
      </div>
    </header>
  )
}
