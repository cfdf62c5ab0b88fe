/**
 * The website of a bucket: its index and error documents, and where requests are redirected.
 *
 * Refuses  With `malformedXml` what the schema excludes; with `invalidArgument` and `invalidRequest`, in Amazon's words, what
 *          contradicts itself.
 * Source   "WebsiteConfiguration", "RoutingRule", "Condition", "Redirect", Amazon S3 API Reference.
 */
import { fail } from "@hayloft/base/failures.js"
import { SETTING_BYTES_MAX } from "@hayloft/base/limits.js"
import { checkChildren, childNamed, childText } from "@hayloft/base/text/xml-reader.js"
import type { XmlElement } from "@hayloft/base/text/xml-reader.js"
import type { XmlWriter } from "../wire/xml-writer.js"
import type { S3Setting } from "./setting.js"

const RULES_MAX = 50
const KEY_BYTES_MAX = 1024
/** A host, perhaps with a port: it goes into a header, and nothing else may. */
const HOST = /^[A-Za-z0-9._-]{1,253}(?::\d{1,5})?$/

/** The place where a request is sent; what is absent stays as it was. */
export interface Redirect {
  readonly protocol?: "http" | "https" | undefined
  readonly hostName?: string | undefined
  /** 301 to 399; absent: 301. */
  readonly status?: number | undefined
  readonly replaceKeyWith?: string | undefined
  readonly replaceKeyPrefixWith?: string | undefined
}

/** All conditions that a rule has must hold. */
export interface RoutingRule {
  readonly keyPrefix: string | undefined
  /** Applies only to answers with this error. */
  readonly errorCode: number | undefined
  readonly redirect: Redirect
}

export type Website =
  | { readonly kind: "redirect"; readonly to: Pick<Redirect, "protocol"> & { readonly hostName: string } }
  | {
      readonly kind: "pages"
      readonly indexSuffix: string
      readonly errorKey: string | undefined
      readonly rules: readonly RoutingRule[]
    }

export const WEBSITE: S3Setting<Website> = {
  name: "website",
  root: "WebsiteConfiguration",
  limits: { bytesMax: SETTING_BYTES_MAX, elementsMax: 1_000 },
  initial: undefined,
  missing: "NoSuchWebsiteConfiguration",
  read(root) {
    checkChildren(root, ["ErrorDocument", "IndexDocument", "RedirectAllRequestsTo", "RoutingRules"])
    const all = childNamed(root, "RedirectAllRequestsTo")
    if (all === undefined) return pagesOf(root)
    if (root.children.length > 1) {
      throw invalid("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
    }
    checkChildren(all, ["HostName", "Protocol"])
    const { hostName, protocol } = placeOf(all)
    if (hostName === undefined) throw fail("malformedXml", { reason: "RedirectAllRequestsTo needs HostName" })
    return { kind: "redirect", to: { hostName, protocol } }
  },
  write(xml, website) {
    if (website.kind === "redirect") {
      const { hostName, protocol } = website.to
      xml.group("RedirectAllRequestsTo", to => to.text("HostName", hostName).text("Protocol", protocol))
      return
    }
    const { indexSuffix, errorKey, rules } = website
    xml.group("IndexDocument", index => index.text("Suffix", indexSuffix))
    if (errorKey !== undefined) xml.group("ErrorDocument", document => document.text("Key", errorKey))
    if (rules.length > 0) {
      xml.group("RoutingRules", list => {
        for (const rule of rules) list.group("RoutingRule", one => writeRule(one, rule))
      })
    }
  },
}

function writeRule(xml: XmlWriter, { keyPrefix, errorCode, redirect }: RoutingRule): void {
  if (keyPrefix !== undefined || errorCode !== undefined) {
    xml.group("Condition", condition =>
      condition.text("HttpErrorCodeReturnedEquals", errorCode).text("KeyPrefixEquals", keyPrefix),
    )
  }
  const { protocol, hostName, status, replaceKeyWith, replaceKeyPrefixWith } = redirect
  xml.group("Redirect", to =>
    to
      .text("HostName", hostName)
      .text("HttpRedirectCode", status)
      .text("Protocol", protocol)
      .text("ReplaceKeyPrefixWith", replaceKeyPrefixWith)
      .text("ReplaceKeyWith", replaceKeyWith),
  )
}

const invalid = (message: string) => fail("invalidRequest", { message })

function pagesOf(root: XmlElement): Website {
  const suffix = documentOf(root, "IndexDocument", "Suffix")
  if (suffix === undefined) {
    const message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
    throw fail("invalidArgument", { message, argumentName: "IndexDocument", argumentValue: "null" })
  }
  if (suffix === "" || suffix.includes("/")) {
    const message = "The IndexDocument Suffix is not well formed"
    throw fail("invalidArgument", { message, argumentName: "IndexDocument", argumentValue: suffix.slice(0, 80) })
  }
  const errorKey = documentOf(root, "ErrorDocument", "Key")
  if (errorKey === "") throw fail("malformedXml", { reason: "the Key of ErrorDocument is empty" })
  const list = childNamed(root, "RoutingRules")
  if (list !== undefined) checkChildren(list, ["RoutingRule"])
  const rules = list?.children ?? []
  if (rules.length > RULES_MAX) {
    const limit = `the number of website routing rules in a website configuration is limited to ${RULES_MAX}.`
    throw invalid(`${rules.length} website routing rules provided, ${limit}`)
  }
  return { kind: "pages", indexSuffix: suffix, errorKey, rules: rules.map(ruleOf) }
}

function documentOf(root: XmlElement, name: string, child: string): string | undefined {
  const element = childNamed(root, name)
  if (element === undefined) return undefined
  checkChildren(element, [child])
  return keyText(element, child)
}

function ruleOf(element: XmlElement): RoutingRule {
  checkChildren(element, ["Condition", "Redirect"])
  const redirect = childNamed(element, "Redirect")
  if (redirect === undefined || redirect.children.length === 0) {
    throw fail("malformedXml", { reason: "a RoutingRule needs a Redirect that is not empty" })
  }
  checkChildren(redirect, ["HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"])
  const replaceKeyWith = keyText(redirect, "ReplaceKeyWith")
  const replaceKeyPrefixWith = keyText(redirect, "ReplaceKeyPrefixWith")
  if (replaceKeyWith !== undefined && replaceKeyPrefixWith !== undefined) {
    throw invalid("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
  }
  const condition = childNamed(element, "Condition")
  if (condition?.children.length === 0) {
    const without = "To redirect all requests without a condition, the condition element shouldn't be present."
    throw invalid(`Condition cannot be empty. ${without}`)
  }
  if (condition !== undefined) checkChildren(condition, ["HttpErrorCodeReturnedEquals", "KeyPrefixEquals"])
  const status = codeOf(redirect, "HttpRedirectCode", isRedirect, ["redirect", "3XX except 300"])
  return {
    keyPrefix: condition && keyText(condition, "KeyPrefixEquals"),
    errorCode: condition && codeOf(condition, "HttpErrorCodeReturnedEquals", isError, ["error", "4XX or 5XX"]),
    redirect: { ...placeOf(redirect), status, replaceKeyWith, replaceKeyPrefixWith },
  }
}

const isRedirect = (code: number): boolean => code > 300 && code < 400
const isError = (code: number): boolean => code >= 400 && code < 600

function codeOf(
  element: XmlElement,
  name: string,
  isValid: (code: number) => boolean,
  [kind, valid]: readonly [kind: string, valid: string],
): number | undefined {
  const text = childText(element, name)?.trim()
  if (text === undefined) return undefined
  if (/^\d{3}$/.test(text) && isValid(Number(text))) return Number(text)
  throw invalid(`The provided HTTP ${kind} code (${text.slice(0, 20)}) is not valid. Valid codes are ${valid}.`)
}

/** Throws `invalidRequest` for a host that could not stand in a URL. */
function placeOf(element: XmlElement): Pick<Redirect, "protocol" | "hostName"> {
  const hostName = childText(element, "HostName")?.trim()
  if (hostName !== undefined && !HOST.test(hostName)) {
    throw invalid(`The host name ${hostName.slice(0, 80)} is not valid.`)
  }
  const protocol = childText(element, "Protocol")?.trim()
  if (protocol === undefined || protocol === "http" || protocol === "https") return { hostName, protocol }
  const automatic = "If not defined the protocol will be selected automatically."
  throw invalid(`Invalid protocol, protocol can be http or https. ${automatic}`)
}

/** Throws `invalidRequest` for what could not be part of a key. */
function keyText(element: XmlElement, name: string): string | undefined {
  const text = childText(element, name)
  if (text === undefined || Buffer.byteLength(text) <= KEY_BYTES_MAX) return text
  throw invalid(`${name} is longer than ${KEY_BYTES_MAX} bytes.`)
}
