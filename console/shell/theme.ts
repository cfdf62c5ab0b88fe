/**
 * The theme: light, dark, or as the system has it. The choice stays in the browser's local storage; where that is not
 * allowed, it lasts until the page is closed.
 */
const KEY = "hayloft-theme"

export const THEMES = ["system", "light", "dark"] as const
export type Theme = (typeof THEMES)[number]

export function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY)
    return THEMES.find(theme => theme === stored) ?? "system"
  } catch {
    return "system"
  }
}

/** The style sheet follows the attribute; without it, the system. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = theme
}

export function storeTheme(theme: Theme): void {
  applyTheme(theme)
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // Storage is switched off: the choice lasts as long as this page.
  }
}
