/**
 * Condition keys: their names, and the values that the engine derives from the caller, the resource's owner and time.
 *
 * Names are compared without case; the suffix of a tag's key keeps its case. The engine never reads the values that it
 * derives from a request or from the claims of a web identity.
 * Sources  "AWS global condition context keys", IAM User Guide; "Actions, resources, and condition keys for Amazon S3",
 *          Service Authorization Reference.
 */
import { isoDate } from "@hayloft/base/text/dates.js"
import type { AccessRequest, ConditionKey } from "./contract.js"

const TAG_KEYS = new Set(
  "aws:principaltag aws:requesttag aws:resourcetag iam:resourcetag s3:existingobjecttag s3:requestobjecttag s3:buckettag".split(
    " ",
  ),
)

export function conditionKeyOf(text: string): ConditionKey {
  const slash = text.indexOf("/")
  const name = text.slice(0, Math.max(slash, 0)).toLowerCase()
  if (TAG_KEYS.has(name)) return { name, suffix: text.slice(slash + 1) }
  return { name: text.toLowerCase(), suffix: undefined }
}

const GLOBAL_KEYS = new Set(
  `calledvia calledviafirst calledvialast currenttime ec2instancesourceprivateipv4 ec2instancesourcevpc epochtime
  federatedprovider multifactorauthage multifactorauthpresent principalaccount principalarn principalisawsservice
  principalorgid principalorgpaths principalservicename principalservicenameslist principaltag principaltype referer
  requestedregion requesttag resourceaccount resourceorgid resourceorgpaths resourcetag securetransport sourceaccount
  sourcearn sourceidentity sourceip sourceorgid sourceorgpaths sourceowner sourcevpc sourcevpce tagkeys tokenissuetime
  useragent userid username viaawsservice vpcsourceip`
    .split(/\s+/)
    .map(name => `aws:${name}`),
)

const S3_KEYS = new Set(
  `accessgrantsinstancearn accesspointnetworkorigin accesspointtag authtype bucketnamespace buckettag dataaccesspointaccount
  dataaccesspointarn delimiter existingjoboperation existingjobpriority existingobjecttag if-match if-none-match
  inventoryaccessibleoptionalfields jobsuspendedcause locationconstraint max-keys object-lock-legal-hold
  object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date objectcreationoperation prefix
  requestjoboperation requestjobpriority requestobjecttag requestobjecttagkeys resourceaccount signatureage
  signatureversion tlsversion versionid x-amz-acl x-amz-content-sha256 x-amz-copy-source x-amz-grant-full-control
  x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive
  x-amz-object-ownership x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
  x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location`
    .split(/\s+/)
    .map(name => `s3:${name}`),
)

/** Returns true if a bucket policy may use the key: AWS's and S3's keys, and claims of identity providers. */
export function isKnownKey({ name, suffix }: ConditionKey): boolean {
  if (TAG_KEYS.has(name) && (suffix ?? "") === "") return false
  if (name.startsWith("aws:")) return GLOBAL_KEYS.has(name)
  if (name.startsWith("s3:")) return S3_KEYS.has(name)
  return /^(?:sts|saml|ldap|cognito-identity\.amazonaws\.com|(?=[^:]*[./])[^:]*(?::\d[^:]*)?):[^:]+$/.test(name)
}

type Values = string | readonly string[] | undefined
type Maker = (request: AccessRequest, suffix: string | undefined) => Values

const PRINCIPAL_TYPES = { root: "Account", user: "User", session: "AssumedRole", anonymous: "Anonymous" } as const

const number = (value: boolean): string => (value ? "true" : "false")

/** For principals of an account only. */
const known =
  (of: (principal: Extract<AccessRequest["principal"], { arn: string }>, suffix: string) => Values): Maker =>
  ({ principal }, suffix = "") =>
    "arn" in principal ? of(principal, suffix) : undefined

const ownerAccount: Maker = ({ owner }) => owner.accountNumber

const MAKERS: ReadonlyMap<string, Maker> = new Map<string, Maker>([
  ["aws:currenttime", ({ nowMs }) => isoDate(nowMs)],
  ["aws:epochtime", ({ nowMs }) => String(Math.floor(nowMs / 1000))],
  ["aws:principalarn", known(({ arn }) => arn)],
  [
    "aws:principalaccount",
    ({ principal }) =>
      "arn" in principal ? principal.accountNumber : principal.kind === "anonymous" ? "anonymous" : undefined,
  ],
  [
    "aws:principaltype",
    ({ principal }) => (principal.kind === "federated" ? undefined : PRINCIPAL_TYPES[principal.kind]),
  ],
  ["aws:principalisawsservice", known(() => number(false))],
  ["aws:viaawsservice", () => number(false)],
  [
    "aws:userid",
    ({ principal }) =>
      "arn" in principal ? principal.userId : principal.kind === "anonymous" ? "anonymous" : undefined,
  ],
  ["aws:username", ({ principal }) => (principal.kind === "user" ? principal.userName : undefined)],
  ["aws:principaltag", known(({ tags }, suffix) => tagValue(tags, suffix))],
  ["aws:tokenissuetime", known(({ issuedMs }) => (issuedMs === undefined ? undefined : isoDate(issuedMs)))],
  ["aws:multifactorauthpresent", known(({ issuedMs }) => (issuedMs === undefined ? undefined : number(false)))],
  ["aws:multifactorauthage", () => undefined],
  ["aws:resourceaccount", ownerAccount],
  ["s3:resourceaccount", ownerAccount],
  [
    "aws:federatedprovider",
    ({ principal }) =>
      principal.kind === "federated"
        ? principal.providerArn
        : principal.kind === "session"
          ? claimOf(principal.claims, "aws:federatedprovider")
          : undefined,
  ],
])

/** The context of a request about a role: policies may test the tags that the role has. */
export const withResourceTags = (
  context: AccessRequest["context"],
  tags: readonly (readonly [key: string, value: string])[],
): AccessRequest["context"] => ({
  valuesOf: key =>
    key.name === "aws:resourcetag" || key.name === "iam:resourcetag"
      ? tagValue(tags, key.suffix ?? "")
      : context.valuesOf(key),
})

/** IAM compares tag keys without case. */
function tagValue(tags: readonly (readonly [key: string, value: string])[], key: string): string | undefined {
  const wanted = key.toLowerCase()
  return tags.find(([name]) => name.toLowerCase() === wanted)?.[1]
}

function claimOf(claims: readonly (readonly [key: string, value: string])[], name: string): Values {
  const values = claims.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  return values.length > 1 ? values : values[0]
}

/** The values of a key; undefined if the request does not have it. */
export function valuesOf(request: AccessRequest, key: ConditionKey): Values {
  const maker = MAKERS.get(key.name)
  if (maker !== undefined) return maker(request, key.suffix)
  const { principal } = request
  const isClaim = "claims" in principal && !key.name.startsWith("aws:") && !key.name.startsWith("s3:")
  return (isClaim ? claimOf(principal.claims, key.name) : undefined) ?? request.context.valuesOf(key)
}

/** The value for a variable; undefined if the key has none, or more than one. */
export function singleValueOf(request: AccessRequest, key: ConditionKey): string | undefined {
  const values = valuesOf(request, key)
  if (values === undefined || typeof values === "string") return values
  return values.length === 1 ? values[0] : undefined
}
