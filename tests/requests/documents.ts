/** Documents in requests: settings of buckets, access control lists, tags; valid, unusual and invalid ones. */
import type { World } from "./world.js"

type Documents = readonly [string, ...string[]]

const json = (...statements: readonly object[]): string =>
  JSON.stringify({ Version: "2012-10-17", Statement: statements })

/** Policies of a bucket; the first ones are valid. */
export function policies(world: World, bucket: string): Documents {
  const all = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
  const other = { AWS: world.account("b") }
  const anybody = { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: all[1] }
  const let_ = { Effect: "Allow", Principal: { AWS: "*" }, Action: "s3:*", Resource: all }
  return [
    json({ ...let_, Condition: { StringEquals: { "aws:PrincipalType": ["Account", "User", "AssumedRole"] } } }),
    json(
      { ...let_, Principal: { AWS: "*" }, Condition: { Bool: { "aws:SecureTransport": "false" } } },
      {
        ...anybody,
        Effect: "Deny",
        Action: "s3:PutObject",
        Condition: { StringNotLike: { "s3:x-amz-acl": "private" } },
      },
    ),
    json(
      { ...let_, Condition: { StringLike: { "aws:UserAgent": "aws-*" } } },
      { ...anybody, Effect: "Deny", Principal: "*", Action: "s3:DeleteObject", Resource: `${all[1] ?? ""}dir/*` },
    ),
    json(
      { ...let_, Condition: { IpAddress: { "aws:SourceIp": "127.0.0.1/32" } } },
      { ...anybody, Effect: "Deny", Condition: { StringEquals: { "s3:ExistingObjectTag/color": "red" } } },
    ),
    json({ ...let_, Action: ["s3:ListBucket"], Condition: { StringEquals: { "s3:prefix": ["", "dir/"] } } }),
    json(anybody),
    json({ ...anybody, Principal: other }),
    json({ ...anybody, Principal: { AWS: "arn:aws:iam::000000000000:root" } }),
    json({ ...anybody, Resource: "arn:aws:s3:::another/*" }),
    json({ ...anybody, Action: "s3:Nothing" }),
    "{}",
    "not json",
    "",
  ]
}

const rules = (inside: string): string => `<CORSConfiguration>${inside}</CORSConfiguration>`
const rule = (origin: string, method: string, more = ""): string =>
  `<CORSRule><AllowedOrigin>${origin}</AllowedOrigin><AllowedMethod>${method}</AllowedMethod>${more}</CORSRule>`

export const CORS: Documents = [
  rules(
    rule("https://page.example.com", "GET", "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds>") +
      rule("*", "PUT", "<AllowedHeader>*</AllowedHeader>"),
  ),
  rules(
    rule(
      "https://*.example.com",
      "GET",
      "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>x-amz-version-id</ExposeHeader>",
    ),
  ),
  rules(rule("*", "GET")),
  rules(rule("*", "PATCH")),
  rules(""),
  "<CORSConfiguration>",
]

export const VERSIONING: Documents = [
  "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
  "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
  "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>",
  "<VersioningConfiguration/>",
]

const ownership = (value: string): string =>
  `<OwnershipControls><Rule><ObjectOwnership>${value}</ObjectOwnership></Rule></OwnershipControls>`
export const OWNERSHIP: Documents = [
  ownership("ObjectWriter"),
  ownership("BucketOwnerPreferred"),
  ownership("BucketOwnerEnforced"),
  ownership("Nobody"),
  "<OwnershipControls/>",
]

const block = (value: boolean): string =>
  `<PublicAccessBlockConfiguration>${[
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
  ]
    .map(name => `<${name}>${String(value)}</${name}>`)
    .join("")}</PublicAccessBlockConfiguration>`
export const ACCESS_BLOCK: Documents = [
  block(false),
  block(true),
  "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>",
  "<PublicAccessBlockConfiguration><BlockPublicAcls>x</BlockPublicAcls></PublicAccessBlockConfiguration>",
]

const payment = (payer: string): string =>
  `<RequestPaymentConfiguration><Payer>${payer}</Payer></RequestPaymentConfiguration>`
export const PAYMENT: Documents = [payment("Requester"), payment("BucketOwner"), payment("Nobody")]

const encryption = (inside: string): string =>
  `<ServerSideEncryptionConfiguration><Rule>${inside}</Rule></ServerSideEncryptionConfiguration>`
const encrypting = (inside: string): string =>
  encryption(`<ApplyServerSideEncryptionByDefault>${inside}</ApplyServerSideEncryptionByDefault>`)
/** Without SSE-KMS, whose ETags are random. */
export const ENCRYPTION: Documents = [
  encrypting("<SSEAlgorithm>AES256</SSEAlgorithm>"),
  encryption("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>"),
  encryption("<BucketKeyEnabled>true</BucketKeyEnabled>"),
  encrypting("<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID>"),
  encrypting("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"),
  encrypting("<SSEAlgorithm>DES</SSEAlgorithm>"),
  encrypting(""),
  encryption("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>".repeat(2)),
  "<ServerSideEncryptionConfiguration/>",
]

const lock = (inside: string): string =>
  `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${inside}</ObjectLockConfiguration>`
const defaults = (inside: string): string => lock(`<Rule><DefaultRetention>${inside}</DefaultRetention></Rule>`)
export const OBJECT_LOCK: Documents = [
  lock(""),
  defaults("<Mode>GOVERNANCE</Mode><Days>1</Days>"),
  defaults("<Mode>COMPLIANCE</Mode><Years>1</Years>"),
  defaults("<Mode>GOVERNANCE</Mode><Days>0</Days>"),
  defaults("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
  "<ObjectLockConfiguration/>",
]

const expiring = (...rules: readonly string[]): string =>
  `<LifecycleConfiguration>${rules.map(rule => `<Rule>${rule}</Rule>`).join("")}</LifecycleConfiguration>`
const ENABLED = "<Status>Enabled</Status>"
const IN_DAYS = "<Expiration><Days>3</Days></Expiration>"
const ABORTED =
  "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
const KEPT =
  "<NoncurrentVersionExpiration><NoncurrentDays>5</NoncurrentDays><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
const RED = "<Filter><Tag><Key>color</Key><Value>red</Value></Tag></Filter>"
/** Nothing of them is due while requests are played. */
export const LIFECYCLE: Documents = [
  expiring(`<ID>all</ID><Filter/>${ENABLED}${IN_DAYS}${ABORTED}`),
  expiring(`<ID>a &amp; b</ID>${RED}${ENABLED}${IN_DAYS}`, `<ID>old</ID><Filter/>${ENABLED}${KEPT}`),
  expiring(`<ID>legacy</ID><Prefix>dir/</Prefix>${ENABLED}${IN_DAYS}`),
  expiring(`<ID>off</ID><Filter/><Status>Disabled</Status>${IN_DAYS}`),
  expiring(`<ID>x</ID><Filter/>${ENABLED}<Expiration><Days>0</Days></Expiration>`),
  expiring(`<ID>x</ID>${RED}${ENABLED}${ABORTED}`),
  expiring(`<ID>x</ID><Filter/>${ENABLED}<Transition><Days>0</Days><StorageClass>GLACIER</StorageClass></Transition>`),
  expiring(),
  "<LifecycleConfiguration>",
]

const retention = (mode: string, year: number): string =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${year}-01-01T00:00:00Z</RetainUntilDate></Retention>`
export const RETENTIONS: Documents = [
  retention("GOVERNANCE", 2140),
  retention("COMPLIANCE", 2140),
  retention("GOVERNANCE", 2130),
  retention("GOVERNANCE", 1990),
  retention("governance", 2140),
  "<Retention/>",
  "nonsense",
]

const hold = (status: string): string => `<LegalHold><Status>${status}</Status></LegalHold>`
export const LEGAL_HOLDS: Documents = [hold("OFF"), hold("ON"), hold("on"), "<LegalHold/>"]

const tags = (pairs: string): string => `<Tagging><TagSet>${pairs}</TagSet></Tagging>`
const tag = (key: string, value: string): string => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`
export const TAGGINGS: Documents = [
  tags(tag("color", "red")),
  tags(tag("color", "blue") + tag("a", "")),
  tags(""),
  tags(tag("a", "1") + tag("a", "2")),
  tags(tag("", "1")),
  tags(tag("k".repeat(129), "v")),
  tags(Array.from({ length: 11 }, (_, i) => tag(`k${i}`, "v")).join("")),
  "<Tagging/>",
  "nonsense",
]

const grant = (grantee: string, permission: string): string =>
  `<Grant>${grantee}<Permission>${permission}</Permission></Grant>`
const XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
const user = (id: string): string => `<Grantee ${XSI} xsi:type="CanonicalUser"><ID>${id}</ID></Grantee>`
const group = (name: string): string =>
  `<Grantee ${XSI} xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/${name}</URI></Grantee>`
const mail = (address: string): string =>
  `<Grantee ${XSI} xsi:type="AmazonCustomerByEmail"><EmailAddress>${address}</EmailAddress></Grantee>`

export function lists(world: World): Documents {
  const [a, b] = [world.account("a"), world.account("b")]
  const list = (owner: string, grants: string): string =>
    `<AccessControlPolicy><Owner><ID>${owner}</ID></Owner><AccessControlList>${grants}</AccessControlList></AccessControlPolicy>`
  return [
    list(a, grant(user(a), "FULL_CONTROL") + grant(user(b), "READ")),
    list(a, grant(user(a), "FULL_CONTROL") + grant(group("AllUsers"), "READ")),
    list(a, grant(user(b), "WRITE") + grant(group("AuthenticatedUsers"), "READ_ACP")),
    list(a, grant(mail(`${b}@example.com`), "FULL_CONTROL")),
    list(b, grant(user(b), "FULL_CONTROL")),
    list(a, grant(mail("nobody@example.com"), "READ")),
    list(a, grant(user("missing-account"), "READ")),
    list(a, grant(group("Nobody"), "READ")),
    list(a, grant(user(b), "EVERYTHING")),
    "<AccessControlPolicy/>",
    "",
  ]
}

export const LOCATION: Documents = [
  "",
  "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>",
  "<CreateBucketConfiguration><LocationConstraint></LocationConstraint></CreateBucketConfiguration>",
  "<CreateBucketConfiguration/>",
  "<Create",
]

/** Tags outside of a document. */
export const BAD_XML: Documents = [
  "",
  "<",
  "<a/>",
  "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><Tagging>&b;</Tagging>",
  "\u0000",
  `${"<a>".repeat(200)}`,
]
