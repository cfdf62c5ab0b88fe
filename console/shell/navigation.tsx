/**
 * The navigation: the store's name, the search, groups of pages, who is signed in, the theme. Pages of what is switched off
 * are under Off. On a phone it opens over the page.
 */
import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import type { Session } from "../api/session-shapes.js"
import { PAGES, type ConsolePage } from "../pages.js"
import { IconButton } from "../parts/button.js"
import { Icon, type IconName } from "../parts/icon.js"
import { openFinder } from "./finder.js"
import { pathTo, place } from "./router.js"
import { isSwitchedOff, signOut } from "./session.js"
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

const isOff = ({ needs }: ConsolePage): boolean => needs !== undefined && isSwitchedOff(needs)

function Links({ pages, current }: { readonly pages: readonly ConsolePage[]; readonly current: string }) {
  return (
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
  )
}

function Group({ group, current }: { readonly group: ConsolePage["group"]; readonly current: string }) {
  const pages = PAGES.filter(page => page.group === group && !isOff(page))
  if (pages.length === 0) return null
  return (
    <li>
      <h2>{group}</h2>
      <Links {...{ pages, current }} />
    </li>
  )
}

function OffGroup({ current }: { readonly current: string }) {
  const pages = PAGES.filter(isOff)
  if (pages.length === 0) return null
  return (
    <li>
      <details class="off-pages" open={pages.some(({ path }) => path === current)}>
        <summary>Off ({pages.length})</summary>
        <Links {...{ pages, current }} />
      </details>
    </li>
  )
}

/** Shows who is signed in, the theme, the documentation and the version. */
function Account({ name, session }: { readonly name: string; readonly session: Session }) {
  const { who, version } = session
  const whole = who?.kind === "principal" ? `${who.arn}, account ${who.accountId}` : name
  return (
    <div class="account">
      <div class="account-line">
        <Icon name="identity" />
        <span title={whole}>{name}</span>
        <ThemeButton />
        <IconButton label="Sign out" icon="signOut" onClick={() => void signOut()} />
      </div>
      <p class="account-line faint">
        <a href="/docs/">Documentation</a>
        <span>Hayloft {version}</span>
      </p>
    </div>
  )
}

export function Navigation({ name, session }: { readonly name: string; readonly session: Session }) {
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
          <span>
            Hayloft
            <span class="store-name">{location.hostname}</span>
          </span>
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
        <button type="button" class="finder-button" aria-keyshortcuts="Control+K Meta+K" onClick={openFinder}>
          <Icon name="search" />
          <span>Find</span>
          <kbd aria-hidden="true">Ctrl K</kbd>
        </button>
        <nav aria-label="Pages">
          <ul class="groups">
            {GROUPS.map(group => (
              <Group key={group} group={group} current={page} />
            ))}
            <OffGroup current={page} />
          </ul>
        </nav>
        <Account name={name} session={session} />
      </div>
    </header>
  )
}
