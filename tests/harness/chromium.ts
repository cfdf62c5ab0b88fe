/**
 * A Chromium of this machine without what a test does not need: its own windows, updates, networking of its own, early
 * optimization. Debian's shell without windows has the same engine, and takes a fourth of the processor time of a page: the
 * other one draws its tabs and buttons, also without a screen, by a process of its own for each context.
 */
import { chromium, type Browser } from "playwright-core"
import { findProgram } from "./commands.js"

const PROGRAM = findProgram("chromium-headless-shell") ?? findProgram("chromium")
const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // V8 optimizes later, as in the processes of tests (tools/testing/short-lived.cjs).
  "--js-flags=--invocation-count-for-maglev=4000,--invocation-count-for-turbofan=30000",
]

/** Tests with a browser are skipped for this reason; false if a browser is there. */
export const noChromium = PROGRAM === undefined ? "Chromium is not installed" : false

/** Starts a browser, which its caller closes. */
export const launchChromium = (): Promise<Browser> => chromium.launch({ executablePath: PROGRAM ?? "", args: QUIET })

/** Runs the work with a browser, and ends the browser. */
export async function withChromium<T>(work: (browser: Browser) => Promise<T>): Promise<T> {
  const browser = await launchChromium()
  try {
    return await work(browser)
  } finally {
    await browser.close()
  }
}
