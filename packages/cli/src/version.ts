/** Which program this is: its version, from its package.json, and whether it was installed as a package. */
import { readFileSync } from "node:fs"

/** Relative to dist/packages/cli/src/. */
const PACKAGE_FILE = new URL("../../../../package.json", import.meta.url)

/** Returns true if the program runs from an installed package, not from a checkout. */
export const isInstalled = (): boolean => /\/node_modules\//.test(PACKAGE_FILE.pathname)

export function readVersion(): string {
  const value: unknown = JSON.parse(readFileSync(PACKAGE_FILE, "utf8"))
  const version = typeof value === "object" && value !== null && "version" in value ? value.version : undefined
  return typeof version === "string" ? version : "unknown"
}
