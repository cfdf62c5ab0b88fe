/**
 * A Chromium of this machine without what a test does not need: its own windows, updates, networking of its own, early
 * optimization. Debian's shell without windows has the same engine, and takes a fourth of the processor time of a page: the
 * other one draws its tabs and buttons, also without a screen, by a process of its own for each context.
 */
import { chromium, type Browser } from "playwright-core"
import { findProgram } from "./commands.js"

const WITH_WINDOWS = findProgram("chromium")
const PROGRAM = findProgram("chromium-headless-shell") ?? WITH_WINDOWS
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

/** The same for tests of what only the browser with windows has, such as its viewers. */
export const noWindows = WITH_WINDOWS === undefined ? "Chromium with windows is not installed" : false

/** Starts a browser, which its caller closes. */
export const launchChromium = ({ hasWindows = false } = {}): Promise<Browser> =>
  chromium.launch({ executablePath: (hasWindows ? WITH_WINDOWS : PROGRAM) ?? "", args: QUIET })

/** Runs the work with a browser, and ends the browser. */
export async function withChromium<T>(work: (browser: Browser) => Promise<T>): Promise<T> {
  const browser = await launchChromium()
  try {
    return await work(browser)
  } finally {
    await browser.close()
  }
}
