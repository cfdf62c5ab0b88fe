/** The frame of the console: signing in, navigation, themes, security headers, size. */
import assert from "node:assert/strict"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { ROOT } from "../harness/server.js"
import type { AuditPage } from "../../console/api/shapes.js"
import { assertAccessible, assertFits, screenshot, signIn, waitUntil, type PageTests } from "./harness.js"

const ASSETS = join(ROOT, "dist", "web", "assets")
/** Compressed; requirements allow 300 KB. */
const CONSOLE_BYTES_MAX = 120_000

test("the compressed console stays small", () => {
  const bytes = readdirSync(ASSETS)
    .filter(name => name.endsWith(".gz"))
    .reduce((sum, name) => sum + statSync(join(ASSETS, name)).size, 0)
  assert.ok(bytes < CONSOLE_BYTES_MAX, `${bytes} bytes`)
  const scripts = readdirSync(ASSETS).filter(name => name.endsWith(".js"))
  for (const name of scripts) assert.doesNotMatch(readFileSync(join(ASSETS, name), "utf8"), /ZodError/)
})

export const shell: PageTests = {
  define(world, pageTest) {
    pageTest("scripts and styles come only from the server, and nothing may frame the console", async () => {
      const reply = await world.server.admin("GET", "/console/safety")
      const header = (name: string): string => reply.header(name) ?? ""
      assert.equal(reply.status, 200)
      const policy = header("content-security-policy")
      for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"])
        assert.ok(policy.includes(rule), policy)
      assert.doesNotMatch(policy, /unsafe/)
      assert.equal(header("x-content-type-options"), "nosniff")
      assert.equal(header("referrer-policy"), "no-referrer")
      assert.equal(header("cache-control"), "no-store")
      const [asset = ""] = /\/console\/assets\/main-[^"]+/.exec(reply.text) ?? []
      const script = await world.server.admin("GET", asset)
      assert.match(script.header("cache-control") ?? "", /immutable/)
      assert.equal((await world.server.admin("GET", "/console/assets/main-OLD.js")).status, 404)
    })

    pageTest(
      "a browser at the admin port gets the console, a wrong token is refused, and who signs out is out",
      async () => {
        const plain = await world.server.admin("GET", "/")
        assert.equal(plain.status, 200)
        assert.match(plain.text, /Health: <strong>ready/)
        assert.doesNotMatch(plain.text, /<script/, "a program gets a page without scripts")
        const page = await world.open("/", { isSignedOut: true })
        await page.getByRole("button", { name: "Sign in", exact: true }).waitFor()
        assert.equal(page.url(), `${world.server.adminEndpoint}/console/`)
        await signIn(page, "wrong")
        await page.getByRole("alert").filter({ hasText: "The token is wrong" }).waitFor()
        await assertAccessible(page)
        await screenshot(page, "sign-in")
        await signIn(page, await world.server.adminToken())
        await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
        assert.equal(new URL(page.url()).pathname, "/console/overview")
        await page.getByRole("button", { name: "Sign out" }).click()
        await page.getByText("You are signed out").waitFor()
        // Nothing is left that could sign in again.
        await page.reload()
        await page.getByRole("button", { name: "Sign in", exact: true }).waitFor()
        // The form begins with what was used last; wrong keys, and a server that is gone, say something else.
        await page.getByLabel("Admin token").waitFor()
        await page.getByRole("button", { name: "Use an access key" }).click()
        await page.locator("input:focus").waitFor()
        await page.getByLabel("Access key").fill("HLWRONG")
        await page.getByLabel("Secret key").fill("wrong")
        await page.keyboard.press("Enter")
        await page.getByRole("alert").filter({ hasText: "The access key or the secret key is wrong" }).waitFor()
        await page.route("**/v1/session", route => route.abort())
        await page.keyboard.press("Enter")
        await page.getByRole("alert").filter({ hasText: "The server does not answer" }).waitFor()
        const { entries } = (await world.server.report("/v1/audit?operation=signIn")) as AuditPage
        assert.ok(
          entries.some(({ ended }) => ended?.outcome === "accessDenied"),
          "the audit log has wrong attempts",
        )
      },
    )

    pageTest(
      "Ctrl-K finds pages and buckets by keyboard; Escape gives the focus back; Off has what is off",
      async () => {
        await world.server.client().call("PUT", { bucket: "findable" })
        const page = await world.open("/console/safety", { isNewDocument: true })
        await page.getByRole("button", { name: "Find" }).focus()
        await page.keyboard.press("Control+k")
        const field = page.getByRole("combobox", { name: "Page or bucket" })
        await page.locator("[role=combobox]:focus").waitFor()
        await field.fill("find")
        await page.getByRole("option", { name: "findable" }).waitFor()
        await assertAccessible(page)
        await page.keyboard.press("Escape")
        await page.locator(".finder-button:focus").waitFor()
        await page.keyboard.press("Control+k")
        await field.fill("t")
        await page.keyboard.press("ArrowDown")
        await field.fill("traf")
        await page.keyboard.press("Enter")
        await page.getByRole("heading", { level: 1, name: "Traffic" }).waitFor()
        assert.equal(await page.getByRole("link", { name: "Remotes" }).isVisible(), false)
        await page.getByText("Off (3)").click()
        await page.getByRole("link", { name: "Remotes" }).click()
        await page.getByText("Remote buckets are switched off").waitFor()
      },
    )

    pageTest(
      "navigation changes the address and the title, focuses the heading, and the Back button works",
      async () => {
        const page = await world.open("/console/safety")
        await page.getByRole("heading", { level: 1, name: "Safety" }).waitFor()
        await page.getByRole("link", { name: "Devices and layout" }).click()
        await page.getByRole("heading", { level: 1, name: "Devices and layout" }).waitFor()
        assert.equal(new URL(page.url()).pathname, "/console/devices")
        await waitUntil(page, "document.title === 'Devices and layout · Hayloft'")
        await page.locator("main h1:focus").waitFor()
        assert.equal(await page.locator("[aria-current=page]").innerText(), "Devices and layout")
        await page.goBack()
        await page.getByRole("heading", { level: 1, name: "Safety" }).waitFor()
      },
    )

    pageTest("an unknown address says so, and links to a page that exists", async () => {
      const page = await world.open("/console/safety")
      await page.evaluate(`history.pushState(null, "", "/console/none"); dispatchEvent(new PopStateEvent("popstate"))`)
      await page.getByRole("heading", { level: 1, name: "Page not found" }).waitFor()
      await assertAccessible(page)
      await page.getByRole("link", { name: "Go to the first page" }).click()
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor()
    })

    pageTest("the theme follows the system until one is chosen, and the choice stays", async () => {
      const page = await world.open("/console/safety", {
        before: opened => opened.emulateMedia({ colorScheme: "dark" }),
      })
      const isDark = () => page.evaluate("getComputedStyle(document.body).color === 'rgb(230, 234, 237)'")
      const background = (): Promise<string> =>
        page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
      const dark = await background()
      assert.ok(await isDark())
      assert.equal(
        await page.evaluate("getComputedStyle(document.body).transitionDuration"),
        "0s",
        "colours change at once",
      )
      await page.getByRole("button", { name: /^Theme: as the system/ }).click()
      await page.getByRole("button", { name: /^Theme: light/ }).waitFor()
      const isOther = `getComputedStyle(document.documentElement).backgroundColor !== ${JSON.stringify(dark)}`
      await waitUntil(page, isOther)
      await page.reload()
      assert.ok(await page.evaluate(isOther), "the chosen theme is that of the first paint")
      assert.equal(await page.evaluate("document.documentElement.dataset.theme"), "light")
      await page.evaluate("localStorage.clear()")
    })

    pageTest("on a phone the navigation opens over the page and closes by a choice or Escape", async () => {
      const page = await world.open("/console/safety", { isPhone: true })
      const link = page.getByRole("link", { name: "Devices and layout" })
      assert.equal(await link.isVisible(), false)
      const menu = page.getByRole("button", { name: "Menu" })
      await menu.click()
      await link.waitFor()
      await assertFits(page)
      await assertAccessible(page)
      await page.keyboard.press("Escape")
      await link.waitFor({ state: "hidden" })
      await menu.click()
      await link.click()
      await page.getByRole("heading", { level: 1, name: "Devices and layout" }).waitFor()
      assert.equal(await link.isVisible(), false)
    })

    pageTest("values stay when a later request fails, and a retry replaces them", async () => {
      const page = await world.open("/console/safety")
      await page.getByText("What may fail").waitFor()
      await page.route("**/v1/status*", route => route.abort())
      await page.getByRole("button", { name: "Refresh" }).click()
      await page.getByText(/Could not be refreshed: the server cannot be reached/).waitFor()
      assert.ok(await page.getByText("What may fail").isVisible())
      await page.unroute("**/v1/status*")
      await page.getByRole("button", { name: "Retry" }).click()
      await page.getByText(/Could not be refreshed/).waitFor({ state: "hidden" })
    })

    pageTest(
      "a hidden tab requests nothing and one that is shown again is current; failures make pauses longer",
      async () => {
        const page = await world.open("/console/safety", {
          isAlone: true,
          before: async opened => opened.clock.install(),
        })
        await page.getByText("What may fail").waitFor()
        let requests = 0
        page.on("request", request => {
          if (request.url().includes("/v1/status")) requests += 1
        })
        const after = async (seconds: number): Promise<number> => {
          const before = requests
          for (let second = 0; second < seconds; second += 5) {
            await page.clock.runFor(5_000)
            await page.evaluate("new Promise(resolve => requestIdleCallback(resolve))").catch(() => {})
          }
          return requests - before
        }
        const setHidden = (isHidden: boolean) =>
          page.evaluate(`Object.defineProperty(document, "hidden", { configurable: true, get: () => ${isHidden} });
        document.dispatchEvent(new Event("visibilitychange"))`)
        await setHidden(true)
        await after(5)
        assert.equal(await after(60), 0, "hidden")
        const shown = page.waitForRequest("**/v1/status*")
        await setHidden(false)
        await shown
        await page.getByText("Updated just now").waitFor()
        await page.route("**/v1/status*", route => route.abort())
        await after(10)
        await page.getByText(/Could not be refreshed/).waitFor()
        await after(60)
        assert.ok((await after(120)) <= 4, "the pauses of failures are up to a minute")
        await page.getByText(/Shown is the state of [23] min ago/).waitFor()
      },
    )
  },
}
