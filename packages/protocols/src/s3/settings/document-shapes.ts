/**
 * The documents of bucket settings as JSON: for each element of the XML, the member that has its value.
 *
 * The JSON is that of Amazon's SDKs and of `aws s3api`, so what works there works here. A document that is missing in this
 * table, such as a policy, is JSON already.
 */

/** `element`: its name in XML. A list is repeated elements, or an element around them (`in`). */
export interface Member {
  readonly element: string
  readonly shape: DocumentShape
  readonly kind: "one" | "list" | "attribute"
  /** The element around the elements of a list. */
  readonly in?: string
}

export type DocumentShape = "text" | "number" | "boolean" | Structure
export interface Structure {
  /** By name in JSON. */
  readonly members: Readonly<Record<string, Member>>
}

const one = (shape: DocumentShape, element: string): Member => ({ kind: "one", shape, element })
const list = (element: string, shape: DocumentShape = "text", around?: string): Member => ({
  kind: "list",
  shape,
  element,
  ...(around !== undefined && { in: around }),
})

/** Members whose elements have the same names. */
function structure(
  plain: { readonly texts?: string; readonly numbers?: string; readonly booleans?: string },
  others: Readonly<Record<string, DocumentShape | Member>> = {},
): Structure {
  const named = (names: string | undefined, shape: DocumentShape) =>
    (names ?? "").split(" ").flatMap(name => (name === "" ? [] : [[name, one(shape, name)] as const]))
  const rest = Object.entries(others).map(
    ([name, member]) => [name, typeof member === "object" && "element" in member ? member : one(member, name)] as const,
  )
  const { texts, numbers, booleans } = plain
  return {
    members: Object.fromEntries([
      ...named(texts, "text"),
      ...named(numbers, "number"),
      ...named(booleans, "boolean"),
      ...rest,
    ]),
  }
}

const TAG = structure({ texts: "Key Value" })
const SIZES = "ObjectSizeGreaterThan ObjectSizeLessThan"

const LIFECYCLE_RULE = structure(
  { texts: "ID Prefix Status" },
  {
    Filter: structure(
      { texts: "Prefix", numbers: SIZES },
      { Tag: TAG, And: structure({ texts: "Prefix", numbers: SIZES }, { Tags: list("Tag", TAG) }) },
    ),
    Expiration: structure({ texts: "Date", numbers: "Days", booleans: "ExpiredObjectDeleteMarker" }),
    Transitions: list("Transition", structure({ texts: "Date StorageClass", numbers: "Days" })),
    NoncurrentVersionTransitions: list(
      "NoncurrentVersionTransition",
      structure({ texts: "StorageClass", numbers: "NoncurrentDays NewerNoncurrentVersions" }),
    ),
    NoncurrentVersionExpiration: structure({ numbers: "NoncurrentDays NewerNoncurrentVersions" }),
    AbortIncompleteMultipartUpload: structure({ numbers: "DaysAfterInitiation" }),
  },
)

const CORS_RULE = structure(
  { texts: "ID", numbers: "MaxAgeSeconds" },
  {
    AllowedHeaders: list("AllowedHeader"),
    AllowedMethods: list("AllowedMethod"),
    AllowedOrigins: list("AllowedOrigin"),
    ExposeHeaders: list("ExposeHeader"),
  },
)

const ENCRYPTION_RULE = structure(
  { booleans: "BucketKeyEnabled" },
  {
    ApplyServerSideEncryptionByDefault: structure({ texts: "SSEAlgorithm KMSMasterKeyID" }),
    BlockedEncryptionTypes: structure({}, { EncryptionType: list("EncryptionType") }),
  },
)

const ROUTING_RULE = structure(
  {},
  {
    Condition: structure({ texts: "HttpErrorCodeReturnedEquals KeyPrefixEquals" }),
    Redirect: structure({ texts: "HostName HttpRedirectCode Protocol ReplaceKeyPrefixWith ReplaceKeyWith" }),
  },
)

const GRANT = structure(
  { texts: "Permission" },
  {
    Grantee: structure(
      { texts: "DisplayName EmailAddress ID URI" },
      { Type: { kind: "attribute", shape: "text", element: "type" } },
    ),
  },
)

/** By the root element of the document. */
export const DOCUMENT_SHAPES: Readonly<Record<string, Structure>> = {
  VersioningConfiguration: structure({ texts: "Status MfaDelete" }),
  LifecycleConfiguration: structure({}, { Rules: list("Rule", LIFECYCLE_RULE) }),
  CORSConfiguration: structure({}, { CORSRules: list("CORSRule", CORS_RULE) }),
  Tagging: structure({}, { TagSet: list("Tag", TAG, "TagSet") }),
  OwnershipControls: structure({}, { Rules: list("Rule", structure({ texts: "ObjectOwnership" })) }),
  PublicAccessBlockConfiguration: structure({
    booleans: "BlockPublicAcls IgnorePublicAcls BlockPublicPolicy RestrictPublicBuckets",
  }),
  RequestPaymentConfiguration: structure({ texts: "Payer" }),
  ServerSideEncryptionConfiguration: structure({}, { Rules: list("Rule", ENCRYPTION_RULE) }),
  WebsiteConfiguration: structure(
    {},
    {
      RedirectAllRequestsTo: structure({ texts: "HostName Protocol" }),
      IndexDocument: structure({ texts: "Suffix" }),
      ErrorDocument: structure({ texts: "Key" }),
      RoutingRules: list("RoutingRule", ROUTING_RULE, "RoutingRules"),
    },
  ),
  TransformConfiguration: structure(
    {},
    {
      Pipelines: list("Pipeline", structure({ texts: "Name Steps" })),
      Rules: list("Rule", structure({ texts: "ID Prefix Suffix When Steps" })),
    },
  ),
  RemoteConfiguration: structure(
    { texts: "Store Bucket Prefix Writes", booleans: "ServeStale OpaqueETags" },
    { Freshness: structure({ texts: "Check", numbers: "MaxAgeSeconds" }) },
  ),
  ObjectLockConfiguration: structure(
    { texts: "ObjectLockEnabled" },
    { Rule: structure({}, { DefaultRetention: structure({ texts: "Mode", numbers: "Days Years" }) }) },
  ),
  AccessControlPolicy: structure(
    {},
    { Owner: structure({ texts: "ID DisplayName" }), Grants: list("Grant", GRANT, "AccessControlList") },
  ),
}
