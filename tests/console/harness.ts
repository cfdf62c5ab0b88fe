/**
 * The web console in a real Chromium, against a real server: what every page is tested for, and tools for more.
 *
 * Promises  one server and one browser for each `consoleSuite`, which runs the tests of several pages. Tests open pages
 *           that are signed in: the tabs, their documents and the session are those of the test before, and nothing that it
 *           has routed, listened to or emulated remains. After a test that failed, documents are new. A page that logs an error, throws, or
 *           violates the content security policy fails its test.
 * Skips     if Chromium is not installed.
 *
 * `CONSOLE_SCREENSHOTS=yes npm test -- tests/console` takes the pictures of the documents (docs/console/).
 */
import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { setTimeout as later } from "node:timers/promises"
import type { Browser, BrowserContext, Page, Route } from "playwright-core"
import { launchChromium, noChromium } from "../harness/chromium.js"
import { dataFolders, quietParent } from "../harness/folders.js"
import { ROOT, ServerProcess } from "../harness/server.js"

/** A guard against what never happens: a page that waits for a job takes long on a busy machine. */
const WAIT_MS = 120_000
const POLL_MS = 50
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")
const SCREENSHOTS = join(ROOT, "docs", "console")
const FOLDERS = 3
const DESKTOP = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }
const TABLET = { width: 820, height: 1180 }
/** More than any page has elements to focus. */
const TABS_MAX = 400
const TABS_AT_ONCE = 10
/**
 * A page that requests nothing, where tabs wait for their next test: at an address of another origin, each would take a new
 * process of the browser.
 */
const NOWHERE = "/console/nothing-is-here"
/** Rules of axe that find nothing serious do not run: what they look through takes a part of its time. */
const UNASKED = `Object.fromEntries(axe._audit.rules
  .filter(({ impact }) => impact === "minor" || impact === "moderate").map(({ id }) => [id, { enabled: false }]))`
/** These rules of axe depend on the colours of a page; the others do not. */
const RULES_OF_COLOURS = ["color-contrast", "link-in-text-block"]

export interface OpenOptions {
  readonly isPhone?: boolean
  /** Opens the page without signing in, in a browser context of its own. */
  readonly isSignedOut?: boolean
  /** Opens the page with a session and a browser context of its own: for what would change those of other tests. */
  readonly isAlone?: boolean
  /** Loads the console again; other tests go on in the document of the test before, as a person would. */
  readonly isNewDocument?: boolean
  /** Loads the console before and after the test: for what a document would keep for other tests. */
  readonly isOwnDocument?: boolean
  /** Opens a session of its own in the browser with windows, which has viewers. */
  readonly hasWindows?: boolean
  /** Set up before the page is opened, but after signing in. */
  readonly before?: (page: Page) => Promise<void>
}

/** A context that tests share one after the other, with its signed-in pages that no test uses now. */
interface Shared {
  readonly context: BrowserContext
  readonly idle: Page[]
}

export class ConsoleWorld {
  #server: ServerProcess | undefined
  #browser: Browser | undefined
  /** Started for the first test that needs it. */
  #windowed: Browser | undefined
  readonly #folder = mkdtempSync(join(quietParent(), "hayloft-console-"))
  #contexts: BrowserContext[] = []
  readonly #shared = new Map<"desktop" | "phone", Shared>()
  #used: { readonly page: Page; readonly of: Shared; readonly isLeft: boolean }[] = []
  #problems: string[] = []

  get server(): ServerProcess {
    assert.ok(this.#server, "the server has started")
    return this.#server
  }

  async start(folders: number, args: readonly string[]): Promise<void> {
    this.#server = await ServerProcess.start({ folders: dataFolders(this.#folder, folders), args })
    this.#browser = await launchChromium()
  }

  async stop(): Promise<void> {
    await this.#browser?.close()
    await this.#windowed?.close()
    await this.#server?.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Sends a request to the admin API, which must succeed; returns the answer. */
  async admin(method: string, path: string, value?: unknown): Promise<unknown> {
    const authorization = `Bearer ${await this.server.adminToken()}`
    const response = await fetch(this.server.adminEndpoint + path, {
      method,
      headers: { authorization, "content-type": "application/json" },
      ...(value !== undefined && { body: JSON.stringify(value) }),
    })
    const text = await response.text()
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`)
    return text === "" ? undefined : JSON.parse(text)
  }

  /** Ends the use of pages by a test. Fails if one of them has logged an error. */
  async closePages(hasPassed: boolean): Promise<void> {
    const [contexts, used, problems] = [this.#contexts, this.#used, this.#problems]
    this.#contexts = []
    this.#used = []
    this.#problems = []
    for (const context of contexts) await context.close()
    for (const { page, of, isLeft } of used) {
      if (of.idle.length > 0 || page.isClosed()) {
        await page.close()
        continue
      }
      for (const event of ["request", "response"] as const) page.removeAllListeners(event)
      await page.unrouteAll({ behavior: "ignoreErrors" })
      await interceptAlways(page)
      if (hasPassed && !isLeft && (await hasConsole(page))) await visit(page, NOWHERE)
      else await page.goto(this.server.adminEndpoint + NOWHERE)
      await page.emulateMedia({ colorScheme: null })
      const { width, height } = of === this.#shared.get("phone") ? PHONE : DESKTOP
      const size = page.viewportSize()
      if (size?.width !== width || size.height !== height) await page.setViewportSize({ width, height })
      of.idle.push(page)
    }
    assert.deepEqual(problems, [], "errors that the browser has logged")
  }

  async #newContext({ isPhone = false, hasWindows = false }: OpenOptions): Promise<BrowserContext> {
    assert.ok(this.#browser, "the browser has started")
    const browser = hasWindows ? (this.#windowed ??= await launchChromium({ hasWindows })) : this.#browser
    const context = await browser.newContext({
      colorScheme: "light",
      reducedMotion: "reduce",
      viewport: isPhone ? PHONE : DESKTOP,
      ...(isPhone ? { hasTouch: true, isMobile: true } : {}),
    })
    context.setDefaultTimeout(WAIT_MS)
    return context
  }

  async #newPage(context: BrowserContext): Promise<Page> {
    const page = await context.newPage()
    await interceptAlways(page)
    page.on("pageerror", error => this.#problems.push(error.stack ?? error.message))
    page.on("console", message => {
      // The browser logs each response of failure; that is no error of the page.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        this.#problems.push(message.text())
    })
    return page
  }

  /** A page that is signed in as the operator, at an address that requests nothing of its own. */
  async #signedIn(context: BrowserContext): Promise<Page> {
    const page = await this.#newPage(context)
    await page.goto(this.server.adminEndpoint + NOWHERE)
    await signIn(page, await this.server.adminToken())
    await page.getByRole("heading", { level: 1, name: "Page not found" }).waitFor()
    return page
  }

  async #sharedPage(isPhone: boolean, isLeft: boolean): Promise<Page> {
    const name = isPhone ? "phone" : "desktop"
    const known = this.#shared.get(name)
    const of = known ?? { context: await this.#newContext({ isPhone }), idle: [] }
    this.#shared.set(name, of)
    const page =
      of.idle.pop() ?? (known === undefined ? await this.#signedIn(of.context) : await this.#newPage(of.context))
    this.#used.push({ page, of, isLeft })
    return page
  }

  /** Opens an address of the console (`/console/…`), signed in as the operator. */
  async open(address: string, options: OpenOptions = {}): Promise<Page> {
    const { isSignedOut = false, isAlone = false, isPhone = false, isOwnDocument = false } = options
    const { isNewDocument = isOwnDocument } = options
    if (!isSignedOut && !isAlone && options.hasWindows !== true) {
      const page = await this.#sharedPage(isPhone, isOwnDocument)
      await options.before?.(page)
      if (!isNewDocument && (await hasConsole(page))) await visit(page, address)
      else await page.goto(this.server.adminEndpoint + address)
      return page
    }
    const context = await this.#newContext(options)
    this.#contexts.push(context)
    if (isSignedOut) {
      const page = await this.#newPage(context)
      await options.before?.(page)
      await page.goto(this.server.adminEndpoint + address)
      return page
    }
    const page = await this.#signedIn(context)
    await options.before?.(page)
    await visit(page, address)
    return page
  }
}

/**
 * Requests pass through the test from now on. If a page's first route is added later, a request that follows at once may
 * still go to the server past it.
 */
const interceptAlways = (page: Page): Promise<unknown> =>
  page.route("**/nothing-of-the-console", route => route.continue())

/** Waits for an expression in the page. `waitForFunction` would need `eval`, which the pages' content security policy forbids. */
export async function waitUntil(page: Page, expression: string): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; performance.now() < deadline;) {
    if ((await page.evaluate(expression)) === true) return
    await later(POLL_MS)
  }
  throw new Error(`timed out waiting for ${expression}`)
}

/** Signs in by the form that is shown, with a token of the admin API. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor()
  const other = page.getByRole("button", { name: "Use an admin token" })
  if ((await other.count()) > 0) await other.click()
  await page.getByLabel("Admin token").fill(token)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
}

/** The document of the page is the console. */
const hasConsole = async (page: Page): Promise<boolean> => (await page.locator("#console").count()) === 1

/** Goes to another address of the console without loading it again. */
export async function visit(page: Page, address: string): Promise<void> {
  await page.evaluate(
    `history.pushState(null, "", ${JSON.stringify(address)}); dispatchEvent(new PopStateEvent("popstate"))`,
  )
}

/** Answers requests of the admin API with a failure. */
export async function failWith(page: Page, pattern: string, status: number, code: string): Promise<void> {
  const body = JSON.stringify({ error: { code, message: `planted ${code}` } })
  await page.route(pattern, route => route.fulfill({ status, contentType: "application/json", body }))
}

/** Holds requests of the admin API back until the returned function is called. */
export async function holdBack(page: Page, pattern: string): Promise<() => Promise<void>> {
  const held: Route[] = []
  let isOpen = false
  await page.route(pattern, async route => {
    if (isOpen) await route.continue()
    else held.push(route)
  })
  return async () => {
    isOpen = true
    for (const route of held) await route.continue()
  }
}

interface AxeViolation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[]
}

/** Fails if axe finds something serious or critical on the page as it is now. `rules`: those that it checks; default: all. */
export async function assertAccessible(page: Page, rules?: readonly string[]): Promise<void> {
  // A document keeps it.
  if (!(await page.evaluate("'axe' in window"))) await page.evaluate(AXE)
  // Style sheets are loaded again only for rules that are not run.
  const options = { resultTypes: ["violations"], preload: false, ...(rules !== undefined && { runOnly: rules }) }
  const found: readonly AxeViolation[] = await page.evaluate(
    `axe.run(document, { ...${JSON.stringify(options)}, rules: ${UNASKED} }).then(result => result.violations)`,
  )
  const grave = found.filter(({ impact }) => impact === "serious" || impact === "critical")
  const text = grave.map(({ id, nodes }) => `${id}: ${nodes.map(n => `${n.html}\n  ${n.failureSummary}`).join("\n")}`)
  assert.equal(text.join("\n"), "")
}

/** Fails if the colours of the page are hard to read in the dark theme. What else axe finds is the same in both themes. */
export async function assertReadableInDark(page: Page): Promise<void> {
  await page.emulateMedia({ colorScheme: "dark" })
  await assertAccessible(page, RULES_OF_COLOURS)
}

/** Fails if the page is wider than the window, or untidy. */
export async function assertFits(page: Page): Promise<void> {
  await assertTidy(page)
  const [wide, window, widest]: [number, number, string] = await page.evaluate(`(() => {
    const root = document.documentElement
    const over = [...document.querySelectorAll("body *")].filter(each => each.getBoundingClientRect().right > root.clientWidth + 1)
    return [root.scrollWidth, root.clientWidth, over.slice(0, 3).map(each => each.outerHTML.slice(0, 200)).join("\\n")]
  })()`)
  assert.ok(wide <= window, `${wide} px of content in ${window} px: ${widest}`)
}

/** Fails if a button, tab or badge breaks its text, something has no room for its content, or the chosen tab is out of view. */
async function assertTidy(page: Page): Promise<void> {
  const problems: readonly string[] = await page.evaluate(`(() => {
    const problems = []
    const isSeen = each => each.checkVisibility() && each.getBoundingClientRect().width > 1
    const named = (what, each) => problems.push(what + ": " + each.className + " " + each.textContent.trim().slice(0, 60))
    const linesOf = each => {
      const lines = []
      const texts = document.createTreeWalker(each, NodeFilter.SHOW_TEXT)
      for (let text; (text = texts.nextNode()); ) {
        const range = document.createRange()
        range.selectNodeContents(text)
        for (const { top, bottom, width } of range.getClientRects())
          if (width > 1 && !lines.some(line => top < line.bottom && bottom > line.top)) lines.push({ top, bottom })
      }
      return lines.length
    }
    for (const each of document.querySelectorAll("main :is(button:not(.sort), .button, summary, .badge)"))
      if (isSeen(each) && !each.closest(".sr-only") && linesOf(each) > 1) named("several lines", each)
    for (const each of document.querySelectorAll("main *")) {
      const { overflowX, display } = getComputedStyle(each)
      const spills = each.scrollWidth > each.clientWidth + 1
      if (overflowX === "visible" && display !== "inline" && spills && isSeen(each) && !each.closest(".sr-only, svg"))
        named("too wide", each)
    }
    for (const each of document.querySelectorAll("[role=tab][aria-selected=true]")) {
      const [tab, list] = [each, each.parentElement].map(one => one.getBoundingClientRect())
      if (tab.left < list.left - 1 || tab.right > list.right + 1) named("out of view", each)
    }
    for (const each of document.querySelectorAll(".tabs")) {
      const isMore = each.scrollLeft + each.clientWidth < each.scrollWidth - 1
      if (isMore !== each.hasAttribute("data-more-after")) named("no hint that there is more", each)
    }
    for (const each of document.querySelectorAll(".freshness")) {
      const title = each.parentElement.querySelector(".page-title")
      if (title && each.getBoundingClientRect().top > title.getBoundingClientRect().bottom) named("below the title", each)
    }
    return problems
  })()`)
  assert.deepEqual(problems, [])
}

/** Fails if a table has columns out of view. */
export async function assertWholeTables(page: Page): Promise<void> {
  const cut = "[...document.querySelectorAll('.table-frame')].filter(each => each.scrollWidth > each.clientWidth + 1)"
  assert.deepEqual(await page.evaluate(`${cut}.map(each => each.textContent.slice(0, 80))`), [])
}

/** Asserts that the table with this caption has rows, and that each of them has two lines at most on a phone. */
export async function assertTwoLines(page: Page, caption: string): Promise<void> {
  const lines: readonly number[] = await page.evaluate(`(() => {
    const table = [...document.querySelectorAll("table")].find(each => each.caption?.textContent === ${JSON.stringify(caption)})
    const linesOf = row => {
      const boxes = [...row.children].map(cell => cell.getBoundingClientRect()).filter(({ height }) => height > 0)
      const [first, ...others] = boxes.toSorted((a, b) => a.top - b.top)
      const ends = [first.bottom]
      for (const { top, bottom } of others) if (top >= ends.at(-1) - 1) ends.push(bottom)
      return ends.length
    }
    return [...table.querySelectorAll("tbody tr")].map(linesOf)
  })()`)
  assert.ok(lines.length > 0 && lines.every(count => count <= 2), `lines of rows: ${lines.join(", ")}`)
}

interface Focused {
  readonly text: string
  readonly isInMain: boolean
  readonly isInDialog: boolean
  readonly isVisible: boolean
}

/** The walk begins where this element was. */
const FOCUS_START = `(() => {
  const start = document.createElement("span")
  start.tabIndex = -1
  document.body.prepend(start)
  start.focus()
  start.remove()
})()`

/** Notes what gets the focus from here on: null once the focus has left the page. */
const WATCH_FOCUS = `(() => {
  window.watch?.abort()
  window.watch = new AbortController()
  const { signal } = window.watch
  const walked = []
  document.addEventListener("focusin", ({ target }) => {
    const style = getComputedStyle(target)
    walked.push({
      text: (target.getAttribute("aria-label") ?? target.textContent ?? "").trim().slice(0, 60) || target.tagName,
      isInMain: target.closest("main, dialog") !== null,
      isInDialog: target.closest("dialog[open]") !== null,
      isVisible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    })
  }, { signal })
  document.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget === null) walked.push(null)
  }, { signal })
  window.walked = walked
})()`

/** Walks through the page with the Tab key: returns what gets the focus. Fails if the focus cannot be seen, or is caught. */
export async function walk(page: Page): Promise<readonly Focused[]> {
  await page.evaluate(FOCUS_START)
  await page.evaluate(WATCH_FOCUS)
  let walked: readonly (Focused | null)[] = []
  while (!walked.includes(null) && walked.length < TABS_MAX) {
    // A key that is held repeats itself: it is far less work than to press it as often.
    await Promise.all(Array.from({ length: TABS_AT_ONCE }, () => page.keyboard.down("Tab")))
    await page.keyboard.up("Tab")
    walked = await page.evaluate("walked")
  }
  const passed = walked
    .slice(0, walked.includes(null) ? walked.indexOf(null) : walked.length)
    .filter(each => each !== null)
  for (const { text, isVisible } of passed) assert.ok(isVisible, `the focus on "${text}" cannot be seen`)
  const last = passed.slice(-10).map(({ text }) => text)
  assert.ok(walked.includes(null), `the focus does not leave the page: ${last.join(", ")}`)
  return passed
}

/** With `CONSOLE_SCREENSHOTS`, writes the visible part of the page to docs/console/NAME.webp. */
export async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env["CONSOLE_SCREENSHOTS"] === undefined) return
  const png = (await page.screenshot({ animations: "disabled" })).toString("base64")
  const converter = await page.context().newPage()
  // Chromium itself converts it.
  const address: string = await converter.evaluate(`(async () => {
    const picture = new Image()
    picture.src = "data:image/png;base64,${png}"
    await picture.decode()
    const canvas = document.createElement("canvas")
    Object.assign(canvas, { width: picture.naturalWidth, height: picture.naturalHeight })
    canvas.getContext("2d").drawImage(picture, 0, 0)
    return canvas.toDataURL("image/webp", 0.85)
  })()`)
  await converter.close()
  mkdirSync(SCREENSHOTS, { recursive: true })
  writeFileSync(join(SCREENSHOTS, `${name}.webp`), Buffer.from(address.split(",")[1] ?? "", "base64"))
}

/** `skip`: the reason to leave it out, beside that there is no browser. */
export type PageTest = (name: string, run: () => Promise<void>, skip?: string | false) => void

/** The tests of a page. */
export interface PageTests {
  /** Arguments of `hayloft serve` that the page needs. */
  readonly args?: () => Promise<readonly string[]>
  /** Called before the first test of the page. */
  readonly prepare?: (world: ConsoleWorld) => Promise<void>
  /** Called once; names each test with `pageTest`. */
  define(world: ConsoleWorld, pageTest: PageTest): void
}

/** Runs the tests of pages in their order, over one server and one browser: each page has buckets of its own. */
export function consoleSuite(pages: readonly PageTests[]): void {
  const world = new ConsoleWorld()
  if (noChromium === false) {
    before(async () => {
      const args: string[] = []
      for (const page of pages) args.push(...((await page.args?.()) ?? []))
      await world.start(FOLDERS, args)
    })
    after(() => world.stop())
  }
  for (const page of pages) {
    let prepared: Promise<void> | undefined
    page.define(
      world,
      (title, run, skip = false) =>
        void test(title, { skip: noChromium || skip }, async () => {
          await (prepared ??= page.prepare?.(world) ?? Promise.resolve())
          let hasPassed = false
          try {
            await run()
            hasPassed = true
          } finally {
            await world.closePages(hasPassed)
          }
        }),
    )
  }
}

/** One page, for the tests that every page passes. */
interface TestedPage {
  readonly address: string
  readonly heading: string
  /** The request without which it shows nothing, as a pattern of Playwright. */
  readonly request: string
  /** A text that it shows once it is loaded. */
  readonly shows: string | RegExp
  /** The name of its pictures. */
  readonly picture: string
}

/** Tests what every page has to do; see docs/how-to/add-a-console-page.md. */
export function standardTests(
  world: ConsoleWorld,
  pageTest: PageTest,
  { address, heading, request, shows, picture }: TestedPage,
): void {
  const isShown = async (page: Page): Promise<void> => {
    await page.getByRole("heading", { level: 1, name: heading }).waitFor()
    await page.locator("main").getByText(shows).first().waitFor()
  }
  /** The page requests everything again. */
  const again = async (page: Page): Promise<void> => {
    await visit(page, NOWHERE)
    await page.getByRole("heading", { level: 1, name: "Page not found" }).waitFor()
    await visit(page, address)
  }

  pageTest(
    `${heading}: shows that a slow API is loading, and then the page: accessible, by keyboard, on a tablet`,
    async () => {
      let release = async (): Promise<void> => {}
      const page = await world.open(address, {
        isNewDocument: true,
        before: async opened => void (release = await holdBack(opened, request)),
      })
      await page.getByRole("heading", { level: 1, name: heading }).waitFor()
      await page.getByRole("status").filter({ hasText: "…" }).first().waitFor()
      await release()
      await isShown(page)
      await assertAccessible(page)
      await screenshot(page, picture)
      const walked = await walk(page)
      assert.equal(walked[0]?.text, "Skip to the content")
      assert.ok(
        walked.some(({ isInMain }) => isInMain),
        "the walk reaches the page itself",
      )
      await assertReadableInDark(page)
      await screenshot(page, `${picture}-dark`)
      await page.setViewportSize(TABLET)
      await assertFits(page)
      await assertWholeTables(page)
    },
  )

  pageTest(`${heading}: fits a phone`, async () => {
    const page = await world.open(address, { isPhone: true })
    await isShown(page)
    await assertFits(page)
    await assertAccessible(page)
    await screenshot(page, `${picture}-phone`)
  })

  pageTest(`${heading}: shows failures and retries, what may not be seen, and the end of the session`, async () => {
    const page = await world.open(address, { before: opened => failWith(opened, request, 500, "internalError") })
    await page.getByText("planted internalError").first().waitFor()
    await assertAccessible(page)
    await page.unroute(request)
    await failWith(page, request, 503, "slowDown")
    await page.getByRole("button", { name: "Retry" }).first().click()
    await page.getByText("planted slowDown").first().waitFor()
    await page.unroute(request)
    await page.getByRole("button", { name: "Retry" }).first().click()
    await isShown(page)
    await failWith(page, request, 403, "outOfScope")
    await again(page)
    await page.getByText("You may not see this").first().waitFor()
    await page.getByText("planted outOfScope").first().waitFor()
    await page.unroute(request)
    await failWith(page, request, 401, "accessDenied")
    await again(page)
    await page.getByText("Your session has ended").waitFor()
    await page.unroute(request)
    await signIn(page, await world.server.adminToken())
    await isShown(page)
  })
}
