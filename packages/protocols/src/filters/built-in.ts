/**
 * The filters that the server brings, by the names under which they are configured: `read-only`, or with a value
 * `domain-remap=storage.example.com`. Pure.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Filter } from "../http/index.js"
import { crossdomain } from "./crossdomain.js"
import { domainRemap } from "./domain-remap.js"
import { NAME_BYTES_DEFAULT, nameCheck } from "./name-check.js"
import { readOnly } from "./read-only.js"

const NAME_BYTES_MAX = 8192
const DOMAIN = /^[A-Za-z0-9*](?:[A-Za-z0-9.:*-]{0,251}[A-Za-z0-9*])?$/

interface BuiltIn {
  /** With its value, in messages. */
  readonly usage: string
  /** Returns undefined if the filter does not take the value. */
  readonly make: (value: string | undefined) => Filter | undefined
}

/** Names of hosts, separated by spaces; undefined: there are none, or something else. */
function domainsIn(value: string | undefined): readonly string[] | undefined {
  const domains = (value ?? "").split(" ").filter(text => text !== "")
  return domains.length > 0 && domains.every(domain => DOMAIN.test(domain)) ? domains : undefined
}

function ofDomains(value: string | undefined, make: (domains: readonly string[]) => Filter): Filter | undefined {
  const domains = domainsIn(value)
  return domains && make(domains)
}

function checkOf(value: string | undefined): Filter | undefined {
  if (value === undefined) return nameCheck(NAME_BYTES_DEFAULT)
  const bytesMax = /^\d{1,4}$/.test(value) ? Number(value) : 0
  return bytesMax >= 1 && bytesMax <= NAME_BYTES_MAX ? nameCheck(bytesMax) : undefined
}

const BUILT_IN: ReadonlyMap<string, BuiltIn> = new Map([
  ["read-only", { usage: "read-only", make: value => (value === undefined ? readOnly() : undefined) }],
  ["name-check", { usage: `name-check or name-check=BYTES (1 to ${NAME_BYTES_MAX})`, make: checkOf }],
  ["crossdomain", { usage: 'crossdomain="DOMAIN ..."', make: value => ofDomains(value, crossdomain) }],
  ["domain-remap", { usage: 'domain-remap="DOMAIN ..."', make: value => ofDomains(value, domainRemap) }],
])

/** A filter as it is configured. Throws `invalidConfig`. */
export function builtInFilter(text: string): Filter {
  const [, name = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? []
  const found = BUILT_IN.get(name)
  if (found === undefined) {
    const names = [...BUILT_IN.keys()].join(", ")
    throw fail("invalidConfig", { message: `there is no filter ${name.slice(0, 80)}: a file, or one of ${names}` })
  }
  const made = found.make(value)
  if (made === undefined)
    throw fail("invalidConfig", { message: `the filter ${text.slice(0, 80)} is not ${found.usage}` })
  return made
}
