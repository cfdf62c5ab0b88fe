/**
 * Every dialog by keyboard, on all pages: a walk follows the links and tabs of the console, presses each button and each item of
 * a menu, and tests the dialogs that open. What would change the store is answered with a refusal on the way.
 */
import assert from "node:assert/strict"
import type { Page } from "playwright-core"
import { visit, waitUntil, walk, type ConsoleWorld, type PageTests } from "./harness.js"

/** The dialogs that the store of these tests can show: fewer mean that the walk has not come where it should. */
const DIALOGS_MIN = 38
const USER = "ivy"
/** Pages of one kind differ in the names in their addresses. */
const kindOf = (address: string): string => {
  const { pathname, searchParams } = new URL(address, "http://console")
  const [, console = "", page = "", ...names] = pathname.split("/")
  const tab = searchParams.get("tab") ?? ""
  const others = [...searchParams.keys()].filter(name => name !== "tab").sort()
  return [console, page, names.length, tab, ...others].join(" ")
}

/** Lets nothing through that could change the store; plans of changes are only read. */
async function refuseChanges(page: Page): Promise<void> {
  await page.route("**/*", async route => {
    const request = route.request()
    const isRead = ["GET", "HEAD"].includes(request.method()) || request.postData()?.includes('"dryRun":true') === true
    if (isRead) return route.fallback()
    const error = { code: "outOfScope", message: "nothing is changed here" }
    return route.fulfill({ status: 403, json: { error } })
  })
}

/** Waits until the page has what it loads. */
async function settled(page: Page): Promise<void> {
  await waitUntil(
    page,
    `new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() =>
      resolve(document.querySelector("main h1") !== null && document.querySelector("main .spinner") === null))))`,
  )
}

async function openPage(page: Page, address: string): Promise<void> {
  await visit(page, address)
  await settled(page)
}

/** Something to press: a button, or an item of the menu that a button opens. */
interface Opener {
  readonly button: string
  readonly item?: string
}

const nameOf = ({ button, item }: Opener): string => (item === undefined ? button : `${button}: ${item}`)

/** A button by its name, the first one of that name; it is marked, so that the focus is recognized there. */
const MARK = (button: string): string => `(() => {
  for (const marked of document.querySelectorAll("[data-opener]")) marked.removeAttribute("data-opener")
  const isNamed = each => (each.getAttribute("aria-label") ?? each.textContent).trim() === ${JSON.stringify(button)}
  const found = [...document.querySelectorAll("main button")].find(each => isNamed(each) && each.checkVisibility() && !each.disabled)
  found?.setAttribute("data-opener", "")
  found?.focus()
  return found !== undefined
})()`

/** Names of buttons, and whether they open a menu. The rows of a table are alike: the last one stands for all. */
const BUTTONS = `[...new Map([...document.querySelectorAll("main button:not([role=tab], .sort, tr:not(:last-child) *)")]
  .filter(each => each.checkVisibility() && !each.disabled)
  .map(each => [(each.getAttribute("aria-label") ?? each.textContent).trim(), each.ariaHasPopup === "menu"])).entries()]`

const ITEMS = `[...document.querySelectorAll("[role=menuitem]:not([download])")].map(each => each.textContent.trim())`

const LINKS = `[...document.querySelectorAll("a[href^='/console/']")].map(each => each.getAttribute("href"))`

const TABS = `[...document.querySelectorAll("main [role=tab]")].map(each => each.id)`

async function openersOf(page: Page): Promise<readonly Opener[]> {
  const openers: Opener[] = []
  const buttons: readonly (readonly [string, boolean])[] = await page.evaluate(BUTTONS)
  for (const [button, isMenu] of buttons) {
    if (!isMenu) openers.push({ button })
    else if (await page.evaluate(MARK(button))) {
      await page.keyboard.press("Enter")
      const items: readonly string[] = await page.evaluate(ITEMS)
      await page.keyboard.press("Escape")
      openers.push(...items.map(item => ({ button, item })))
    }
  }
  return openers
}

/** Presses it by keyboard. Returns false if it is not there any more. */
async function press(page: Page, { button, item }: Opener): Promise<boolean> {
  if (!(await page.evaluate(MARK(button)))) return false
  await page.keyboard.press("Enter")
  if (item === undefined) return true
  const isThere: boolean = await page.evaluate(`(() => {
    const found = [...document.querySelectorAll("[role=menuitem]")].find(each => each.textContent.trim() === ${JSON.stringify(item)})
    found?.focus()
    return found !== undefined
  })()`)
  if (isThere) await page.keyboard.press("Enter")
  return isThere
}

const inDialog = (page: Page): Promise<boolean> =>
  page.evaluate("document.activeElement?.closest('dialog[open]') != null")

/** Returns what is wrong with the dialog that is open. */
async function problemsOf(page: Page): Promise<readonly string[]> {
  const problems: string[] = []
  if (!(await inDialog(page))) problems.push("it does not take the focus")
  const walked = await walk(page)
  if (!walked.some(({ isInDialog }) => isInDialog)) problems.push("nothing in it can be reached")
  for (const { text, isInDialog } of walked) if (!isInDialog) problems.push(`Tab leaves it for ${text}`)
  await page.keyboard.press("Escape")
  await settled(page)
  if ((await page.locator("dialog[open]").count()) > 0) return [...problems, "Escape does not close it"]
  const focused: string = await page.evaluate(
    "document.activeElement.hasAttribute('data-opener') ? '' : document.activeElement.outerHTML.slice(0, 80)",
  )
  return focused === "" ? problems : [...problems, `it gives the focus to ${focused}`]
}

interface Found {
  /** Addresses to visit. */
  readonly ahead: string[]
  /** The names of buttons and items that were pressed, after the first segment of the page's address. */
  readonly pressed: Set<string>
  readonly dialogs: Set<string>
  readonly problems: string[]
}

const addressNow = (page: Page): string => {
  const { pathname, search } = new URL(page.url())
  return pathname + search
}

/** Tests the dialogs of a page. */
async function testPage(page: Page, address: string, { ahead, pressed, dialogs, problems }: Found): Promise<void> {
  const [, , segment] = address.split(/[/?]/)
  for (const opener of await openersOf(page)) {
    const name = `${segment} ${opener.item ?? opener.button}`
    if (pressed.has(name) || !(await press(page, opener))) continue
    pressed.add(name)
    await settled(page)
    const dialog = page.locator("dialog[open]")
    if ((await dialog.count()) > 0) {
      dialogs.add(name)
      for (const problem of await problemsOf(page)) problems.push(`${address}, ${nameOf(opener)}: ${problem}`)
    }
    const now = addressNow(page)
    if (now !== address) ahead.push(now)
    if (now !== address || (await dialog.count()) > 0) await openPage(page, address)
  }
}

/** Visits one page of each kind, as links and tabs lead there. */
async function testAll(page: Page): Promise<Found> {
  const ahead = ["/console/overview"]
  const found: Found = { ahead, pressed: new Set(), dialogs: new Set(), problems: [] }
  const seen = new Set<string>()
  for (let address = ahead.shift(); address !== undefined; address = ahead.shift()) {
    const kind = kindOf(address)
    if (seen.has(kind)) continue
    seen.add(kind)
    await openPage(page, address)
    ahead.push(...(await page.evaluate<readonly string[]>(LINKS)))
    for (const tab of await page.evaluate<readonly string[]>(TABS)) {
      await page.evaluate(`document.getElementById(${JSON.stringify(tab)})?.click()`)
      ahead.push(addressNow(page))
    }
    await openPage(page, address)
    await testPage(page, address, found)
  }
  return found
}

/** Makes one of everything that has dialogs of its own. */
async function prepare(world: ConsoleWorld): Promise<void> {
  const own = { Version: "2012-10-17", Statement: { Effect: "Allow", Action: "s3:GetObject", Resource: "*" } }
  await world.admin("POST", "/v1/accounts/~/users", { name: USER })
  await world.admin("POST", "/v1/accounts/~/groups", { name: "writers" })
  await world.admin("POST", "/v1/accounts/~/policies", { name: "readers-of-all", document: own })
  await world.admin("POST", "/v1/tokens", { name: "graphs", scopes: ["read"] })
  await world.admin("POST", "/v1/queues", { name: "outbox" })
  const client = world.server.client()
  assert.equal((await client.call("PUT", { bucket: "asked" })).status, 200)
  assert.equal((await client.call("PUT", { bucket: "asked", key: "a.txt", body: "a" })).status, 200)
}

export const dialogs: PageTests = {
  prepare,
  define(world, pageTest) {
    pageTest("every dialog of every page keeps the focus, closes on Escape, and gives the focus back", async () => {
      const page = await world.open("/console/overview", { isAlone: true, before: refuseChanges })
      const { dialogs: opened, problems } = await testAll(page)
      // Other tests look at an account without users.
      await world.admin("DELETE", `/v1/accounts/~/users/${USER}`)
      assert.deepEqual(problems, [])
      assert.ok(opened.size >= DIALOGS_MIN, `${opened.size} dialogs:\n${[...opened].join("\n")}`)
    })
  },
}
