/** Schemas of the audit log in the admin API's JSON. */
import { z } from "zod"

const timestamp = z.number().int().describe("milliseconds since 1970")
const json = z.string().optional()

const ENTRY = z
  .object({
    id: z.string(),
    atMs: timestamp,
    caller: z.object({
      kind: z
        .enum(["operator", "token", "key", "anonymous"])
        .describe(
          "operator: with the token of the data folders; key: with an access key: by S3, IAM or KMS, or signed in to the admin port",
        ),
      id: z.string().describe("of the token or the access key; empty for others"),
      name: z.string().describe("of the token, or the ARN of the principal"),
      address: z.string(),
    }),
    requestId: z.string(),
    operation: z.string().describe("its operationId, or as s3:PutBucketPolicy, iam:CreateUser, kms:CreateKey"),
    target: z
      .string()
      .describe("what it was applied to, by IAM and KMS its ARN or name; empty if the path names nothing"),
    request: json.describe("the body as JSON, without secrets"),
    before: json.describe("what there was, as JSON, if the API shows it"),
    after: json.describe("what there is then, else the answer, as JSON without secrets"),
    ended: z
      .object({ atMs: timestamp, outcome: z.string().describe("done, or the kind of the failure") })
      .optional()
      .describe("absent: it is under way, or its process has ended before it could tell"),
  })
  .meta({ id: "AuditEntry" })

export const AUDIT_PAGE = z
  .object({ entries: z.array(ENTRY).describe("the latest first"), next: z.string().optional() })
  .meta({ id: "AuditPage" })
