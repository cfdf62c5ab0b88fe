/** Which program this is: its version, from its package.json, and how it is called. */
import { basename, delimiter, dirname } from "node:path"
import { isExecutable, packageDescription } from "./program-files.js"

/** The command in a shell that starts this program: of the executable, of an installed package, or in a checkout. */
export function programCommand(): string {
  if (isExecutable()) {
    const folders = (process.env["PATH"] ?? "").split(delimiter)
    return folders.includes(dirname(process.argv0)) ? basename(process.argv0) : process.argv0
  }
  return import.meta.url.includes("/node_modules/") ? "npx hayloft" : "./bin/hayloft"
}

export function readVersion(): string {
  const value: unknown = JSON.parse(packageDescription())
  const version = typeof value === "object" && value !== null && "version" in value ? value.version : undefined
  return typeof version === "string" ? version : "unknown"
}
