/**
 * The web console in a real Chromium, against a real server: what every page is tested for, and tools for more.
 *
 * Promises  one server and one browser for each `consoleSuite`; each test gets pages of its own, which are closed after
 *           it. A page that logs an error, throws, or violates the content security policy fails its test.
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
import { chromium, type Browser, type BrowserContext, type Page, type Route } from "playwright-core"
import { findProgram } from "../harness/commands.js"
import { dataFolders, quietParent } from "../harness/folders.js"
import { ROOT, ServerProcess } from "../harness/server.js"

const CHROMIUM = findProgram("chromium")
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]
/** A guard against what never happens: a page that waits for a job takes long on a busy machine. */
const WAIT_MS = 120_000
const POLL_MS = 50
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")
const SCREENSHOTS = join(ROOT, "docs", "console")
const DESKTOP = { width: 1280, height: 800 }
const PHONE = { width: 390, height: 844 }
/** More than any page has elements to focus. */
const TABS_MAX = 400

export interface OpenOptions {
  readonly isDark?: boolean
  readonly isPhone?: boolean
  /** Opens the page without signing in. */
  readonly isSignedOut?: boolean
  /** Set up before the page is opened, but after signing in. */
  readonly before?: (page: Page) => Promise<void>
}

export class ConsoleWorld {
  #server: ServerProcess | undefined
  #browser: Browser | undefined
  readonly #folder = mkdtempSync(join(quietParent(), "hayloft-console-"))
  #contexts: BrowserContext[] = []
  #problems: string[] = []

  get server(): ServerProcess {
    assert.ok(this.#server, "the server has started")
    return this.#server
  }

  async start(folders: number, args: readonly string[]): Promise<void> {
    this.#server = await ServerProcess.start({ folders: dataFolders(this.#folder, folders), args })
    this.#browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: QUIET })
  }

  async stop(): Promise<void> {
    await this.#browser?.close()
    await this.#server?.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** Closes the pages of a test. Fails if one of them has logged an error. */
  async closePages(): Promise<void> {
    const [contexts, problems] = [this.#contexts, this.#problems]
    this.#contexts = []
    this.#problems = []
    for (const context of contexts) await context.close()
    assert.deepEqual(problems, [], "errors that the browser has logged")
  }

  async #newPage({ isDark = false, isPhone = false }: OpenOptions): Promise<Page> {
    assert.ok(this.#browser, "the browser has started")
    const context = await this.#browser.newContext({
      colorScheme: isDark ? "dark" : "light",
      reducedMotion: "reduce",
      viewport: isPhone ? PHONE : DESKTOP,
      ...(isPhone ? { hasTouch: true, isMobile: true } : {}),
    })
    context.setDefaultTimeout(WAIT_MS)
    this.#contexts.push(context)
    const page = await context.newPage()
    page.on("pageerror", error => this.#problems.push(error.stack ?? error.message))
    page.on("console", message => {
      // The browser logs each response of failure; that is no error of the page.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        this.#problems.push(message.text())
    })
    return page
  }

  /** Opens an address of the console (`/console/…`) in a page of its own, signed in as the operator. */
  async open(address: string, options: OpenOptions = {}): Promise<Page> {
    const page = await this.#newPage(options)
    if (options.isSignedOut === true) {
      await options.before?.(page)
      await page.goto(this.server.adminEndpoint + address)
      return page
    }
    // At an address that requests nothing of its own.
    await page.goto(`${this.server.adminEndpoint}/console/nothing-is-here`)
    await signIn(page, await this.server.adminToken())
    await page.getByRole("heading", { level: 1, name: "Page not found" }).waitFor()
    await options.before?.(page)
    await visit(page, address)
    return page
  }
}

/** Waits for an expression in the page. `waitForFunction` would need `eval`, which the pages' content security policy forbids. */
export async function waitUntil(page: Page, expression: string): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; performance.now() < deadline;) {
    if ((await page.evaluate(expression)) === true) return
    await later(POLL_MS)
  }
  throw new Error(`timed out waiting for ${expression}`)
}

/** Signs in by the form that is shown. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Admin token").fill(token)
  await page.getByRole("button", { name: "Sign in", exact: true }).click()
}

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

/** Fails if axe finds something serious or critical on the page as it is now. */
export async function assertAccessible(page: Page): Promise<void> {
  await page.evaluate(AXE)
  const found: readonly AxeViolation[] = await page.evaluate("axe.run(document).then(result => result.violations)")
  const grave = found.filter(({ impact }) => impact === "serious" || impact === "critical")
  const text = grave.map(({ id, nodes }) => `${id}: ${nodes.map(n => `${n.html}\n  ${n.failureSummary}`).join("\n")}`)
  assert.equal(text.join("\n"), "")
}

/** Fails if the page is wider than the window. */
export async function assertFits(page: Page): Promise<void> {
  const [wide, window, widest]: [number, number, string] = await page.evaluate(`(() => {
    const root = document.documentElement
    const over = [...document.querySelectorAll("body *")].filter(each => each.getBoundingClientRect().right > root.clientWidth + 1)
    return [root.scrollWidth, root.clientWidth, over.slice(0, 3).map(each => each.outerHTML.slice(0, 200)).join("\\n")]
  })()`)
  assert.ok(wide <= window, `${wide} px of content in ${window} px: ${widest}`)
}

interface Focused {
  readonly text: string
  readonly isInMain: boolean
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

const FOCUSED = `(() => {
  const at = document.activeElement
  if (at === null || at === document.body) return null
  const style = getComputedStyle(at)
  return {
    text: (at.getAttribute("aria-label") ?? at.textContent ?? "").trim().slice(0, 60) || at.tagName,
    isInMain: at.closest("main, dialog") !== null,
    isVisible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
  }
})()`

/** Walks through the page with the Tab key: returns what gets the focus. Fails if the focus cannot be seen, or is caught. */
export async function walk(page: Page): Promise<readonly Focused[]> {
  const walked: Focused[] = []
  await page.evaluate(FOCUS_START)
  for (let at = 0; at < TABS_MAX; at += 1) {
    await page.keyboard.press("Tab")
    const focused: Focused | null = await page.evaluate(FOCUSED)
    if (focused === null) return walked
    assert.ok(focused.isVisible, `the focus on "${focused.text}" cannot be seen`)
    walked.push(focused)
  }
  throw new Error(
    `the focus does not leave the page: ${walked
      .slice(-10)
      .map(({ text }) => text)
      .join(", ")}`,
  )
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

export type PageTest = (name: string, run: () => Promise<void>) => void

/** The tests of a file, which share a server and a browser: `define` is called once, and names each with `pageTest`. */
export function consoleSuite(
  {
    folders = 1,
    args = [],
    prepare,
  }: {
    readonly folders?: number
    /** The arguments of `hayloft serve`, at each start: `prepare` may add to them, and start the server again. */
    readonly args?: readonly string[]
    readonly prepare?: (world: ConsoleWorld) => Promise<void>
  },
  define: (world: ConsoleWorld, pageTest: PageTest) => void,
): void {
  const skip = CHROMIUM === undefined ? "Chromium is not installed" : false
  const world = new ConsoleWorld()
  if (skip === false) {
    before(async () => {
      await world.start(folders, args)
      await prepare?.(world)
    })
    after(() => world.stop())
  }
  define(
    world,
    (title, run) =>
      void test(title, { skip }, async () => {
        try {
          await run()
        } finally {
          await world.closePages()
        }
      }),
  )
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

/** Runs the tests that every page has to pass; see docs/how-to/add-a-console-page.md. */
export function standardTests(
  world: ConsoleWorld,
  pageTest: PageTest,
  { address, heading, request, shows, picture }: TestedPage,
): void {
  const isShown = async (page: Page): Promise<void> => {
    await page.getByRole("heading", { level: 1, name: heading }).waitFor()
    await page.locator("main").getByText(shows).first().waitFor()
  }

  pageTest(`${heading}: accessible in light and dark`, async () => {
    const page = await world.open(address)
    await isShown(page)
    await assertAccessible(page)
    await screenshot(page, picture)
    await page.emulateMedia({ colorScheme: "dark" })
    await assertAccessible(page)
    await screenshot(page, `${picture}-dark`)
  })

  pageTest(`${heading}: fits a phone`, async () => {
    const page = await world.open(address, { isPhone: true })
    await isShown(page)
    await assertFits(page)
    await assertAccessible(page)
    await screenshot(page, `${picture}-phone`)
  })

  pageTest(`${heading}: works by keyboard`, async () => {
    const page = await world.open(address)
    await isShown(page)
    const walked = await walk(page)
    assert.equal(walked[0]?.text, "Skip to the content")
    assert.ok(
      walked.some(({ isInMain }) => isInMain),
      "the walk reaches the page itself",
    )
  })

  pageTest(`${heading}: shows that a slow API is loading, and then the page`, async () => {
    let release = async (): Promise<void> => {}
    const page = await world.open(address, { before: async opened => void (release = await holdBack(opened, request)) })
    await page.getByRole("heading", { level: 1, name: heading }).waitFor()
    await page.getByRole("status").filter({ hasText: "…" }).first().waitFor()
    await release()
    await isShown(page)
  })

  pageTest(`${heading}: shows failures, and retries`, async () => {
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
  })

  pageTest(`${heading}: says what may not be seen`, async () => {
    const page = await world.open(address, { before: opened => failWith(opened, request, 403, "outOfScope") })
    await page.getByText("You may not see this").first().waitFor()
    await page.getByText("planted outOfScope").first().waitFor()
  })

  pageTest(`${heading}: asks to sign in when the session has ended, and comes back`, async () => {
    const page = await world.open(address, { before: opened => failWith(opened, request, 401, "accessDenied") })
    await page.getByText("Your session has ended").waitFor()
    await page.unroute(request)
    await signIn(page, await world.server.adminToken())
    await isShown(page)
  })
}
