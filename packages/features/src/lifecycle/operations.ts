/** The operations of `/v1/buckets/{bucket}/lifecycle`: what the rules of a bucket do. */
import { objectKeyOfText, parseBucketName } from "@hayloft/base/ids.js"
import { explanationText, previewText } from "./lifecycle-text.js"
import {
  objectPlace,
  onBucket,
  operation,
  parseBody,
  SET_SETTING,
  SETTING_BYTES_MAX,
  type OperatorPart,
  type OperatorServices,
} from "../operator/index.js"
import { LIFECYCLE_EXPLANATION, LIFECYCLE_PREVIEW } from "./schemas.js"
import { LIFECYCLE_INSPECTION } from "./services.js"

async function explainLifecycle({ core }: OperatorServices, name: string, key: string) {
  const { versions, ...explained } = await LIFECYCLE_INSPECTION.of(core).explain(
    parseBucketName(name),
    objectKeyOfText(key),
  )
  return {
    ...explained,
    versions: versions.map(({ rules, ...version }) => ({
      ...version,
      rules: rules.map(({ ruleId, when, transitions }) => ({
        ruleId,
        ...whenOf(when),
        ...(transitions && {
          transitions: transitions.map(({ storageClass, when: moved }) => ({ storageClass, ...whenOf(moved) })),
        }),
      })),
    })),
  }
}

const whenOf = <WhyNot>(when: number | WhyNot) => (typeof when === "number" ? { dueMs: when } : { whyNot: when })

const TRY_LIFECYCLE = operation("tryLifecycle", "POST /v1/buckets/{bucket}/lifecycle/preview", {
  summary:
    "Returns what the next pass of lifecycle would remove from a bucket if it had other rules, which are not set. It reads at most a million rows.",
  request: SET_SETTING,
  isRead: true,
  bodyBytesMax: SETTING_BYTES_MAX,
  answer: LIFECYCLE_PREVIEW,
  permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
  async run({ core, bucketDocuments }, { segment, body, signal }) {
    const { value } = parseBody(SET_SETTING, body)
    const rules = bucketDocuments.lifecycleRules(value)
    return LIFECYCLE_INSPECTION.of(core).tryRules(parseBucketName(segment("bucket")), rules, signal)
  },
})

const OPERATIONS: OperatorPart["operations"] = [
  operation("explainLifecycle", "GET /v1/buckets/{bucket}/lifecycle/explain", {
    summary: "Explains what the lifecycle rules of a bucket do to the versions of a key, when, or why not.",
    parameters: [{ name: "key", description: "of the object" }],
    answer: LIFECYCLE_EXPLANATION,
    permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
    run: (services, { segment, query }) => explainLifecycle(services, segment("bucket"), query.get("key") ?? ""),
    commands: [
      {
        name: "lifecycle explain",
        help: "what the rules do to each version of an object: which rule, when, or why not",
        inputs: { bucket: { flags: "<BUCKET/KEY>" } },
        sends: given => objectPlace(given("bucket"), "name the object as BUCKET/KEY"),
        text: explanationText,
      },
    ],
  }),
  operation("previewLifecycle", "GET /v1/buckets/{bucket}/lifecycle/preview", {
    summary:
      "Returns what the next pass of lifecycle would remove from a bucket, by rule. It reads all rows of the bucket.",
    answer: LIFECYCLE_PREVIEW,
    permission: onBucket("s3:GetLifecycleConfiguration", "s3:ListBucketVersions"),
    run: ({ core }, { segment }) => LIFECYCLE_INSPECTION.of(core).preview(parseBucketName(segment("bucket"))),
    commands: [
      {
        name: "lifecycle preview",
        help: "objects and bytes that each rule removes in the next pass, with examples; reads all rows of the bucket",
        inputs: {
          bucket: { flags: "<BUCKET>" },
          value: {
            flags: "--rules <FILE>",
            help: "as if the bucket had the rules of this JSON, which are not set; - for standard input",
            reads: "document",
          },
        },
        async run({ call, values }, own) {
          const preview = await (values["value"] === undefined ? own() : call(TRY_LIFECYCLE))
          return { json: preview, text: previewText(preview) }
        },
      },
    ],
  }),
  TRY_LIFECYCLE,
]

export const LIFECYCLE_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  commandGroups: { lifecycle: "lifecycle rules of buckets: what they remove, and when" },
}
