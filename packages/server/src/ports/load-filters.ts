/** Loads the filters that the operator has configured: built-in ones, and CommonJS modules, each of which exports a function. */
import { createRequire } from "node:module"
import { isAbsolute } from "node:path"
import { pathToFileURL } from "node:url"
import { fail } from "@hayloft/base/failures.js"
import { builtInFilter } from "@hayloft/protocols/filters/index.js"
import { FILTER_TOOLS, type Filter, type FilteredPort } from "@hayloft/protocols/http/index.js"
import { jsonMember } from "@hayloft/base/json.js"

const PORTS: readonly FilteredPort[] = ["s3", "swift"]

/** In the order in which they are configured: absolute paths, or names of built-in ones. Throws `invalidConfig`. */
export const loadFilters = (configured: readonly string[]): readonly Filter[] =>
  configured.map(text => (isAbsolute(text) ? loadFilter(text) : builtInFilter(text)))

function loadFilter(file: string): Filter {
  const refused = (reason: string, cause?: unknown) =>
    fail("invalidConfig", { message: `the filter ${file} ${reason}: see docs/guide/write-a-filter.md` }, cause)
  let make: unknown
  try {
    // The program is a script of V8's code cache, which can require, and not import.
    make = createRequire(pathToFileURL(file))(file)
  } catch (error) {
    throw refused(`cannot be loaded (${error instanceof Error ? error.message : String(error)})`, error)
  }
  if (!isMaker(make)) throw refused("exports no function")
  const made: unknown = make(FILTER_TOOLS)
  const [name, ports, handle] = [jsonMember(made, "name"), jsonMember(made, "ports"), jsonMember(made, "handle")]
  if (typeof name !== "string" || !isHandle(handle)) throw refused("makes no object with a name and a function handle")
  if (ports !== undefined && !isPorts(ports)) throw refused(`is for ports that are not among ${PORTS.join(", ")}`)
  return {
    name,
    ...(ports !== undefined && { ports }),
    handle: (exchange, next) => handle.call(made, exchange, next),
  }
}

const isMaker = (value: unknown): value is (tools: typeof FILTER_TOOLS) => unknown => typeof value === "function"
const isHandle = (value: unknown): value is Filter["handle"] => typeof value === "function"

const isPorts = (value: unknown): value is readonly FilteredPort[] =>
  Array.isArray(value) && value.every(port => PORTS.some(known => known === port))
