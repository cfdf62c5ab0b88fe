/** Schemas of the policy simulator and of the validation of policies in the admin API's JSON. */
import { z } from "zod"
import { POLICY_DOCUMENT } from "./identity-schemas.js"
import { side } from "../schemas.js"

const count = z.number().int().nonnegative()
const accountId = z.string().optional().describe("the root account if absent")
const name = z.string().min(1).max(128)

export const SIMULATED_CALLER = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("anonymous") }),
    z.strictObject({ kind: z.literal("root"), accountId }).describe("the root user of an account"),
    z.strictObject({ kind: z.literal("user"), accountId, name }),
    z.strictObject({ kind: z.literal("role"), accountId, name }).describe("a session of a role"),
    z
      .strictObject({ kind: z.literal("policy"), accountId, document: POLICY_DOCUMENT })
      .describe("a user that has this policy and no other"),
  ])
  .meta({ id: "SimulatedCaller" })

export const SIMULATION = z
  .strictObject({
    caller: SIMULATED_CALLER,
    action: z.string().min(3).max(128).describe("s3:GetObject, iam:CreateUser, sts:AssumeRole"),
    resource: z.string().min(1).max(2048).describe("an ARN; BUCKET or BUCKET/KEY for actions of S3; *"),
    conditions: z
      .record(z.string(), z.union([z.string(), z.array(z.string())]))
      .default({})
      .describe('values of condition keys: {"aws:SourceIp": "192.0.2.1"}; a request has no others then'),
    sessionPolicy: POLICY_DOCUMENT.optional().describe("limits the caller, too: that of a session or a service key"),
    boundary: POLICY_DOCUMENT.optional().describe("in place of the caller's permissions boundary"),
    bucketPolicy: POLICY_DOCUMENT.optional().describe("in place of the bucket's own policy"),
  })
  .meta({ id: "PolicySimulation" })

export const SIMULATED = z
  .object({
    isAllowed: z.boolean(),
    sentence: z.string().describe("why"),
    caller: z.string().describe("ARN; anonymous"),
    action: z.string(),
    resource: z.string(),
    decidedBy: z
      .object({ side, policy: z.string(), statement: count.positive(), sid: z.string().optional() })
      .optional()
      .describe("the statement that allows or denies it; absent if none does"),
    grants: z
      .array(z.object({ side, statement: z.string().describe("JSON, ready for a policy") }))
      .describe("of what is denied: the smallest grants that would help; all of them are required"),
    hints: z.array(z.string()),
    unknownConditions: z
      .array(z.string())
      .describe("condition keys that policies ask for and that were not given: a request may have them"),
  })
  .meta({ id: "Simulated" })

export const VALIDATION = z
  .strictObject({
    text: z.string().max(60_000).optional().describe("the policy as it is written, for the lines of problems"),
    document: POLICY_DOCUMENT.optional().describe("or the policy itself"),
    kind: z
      .enum(["identity", "resource", "trust", "key"])
      .default("identity")
      .describe("of users, groups, roles and keys; of a bucket; who may assume a role; of a named key"),
    bucket: z.string().optional().describe("whose policy it is to be"),
  })
  .meta({ id: "PolicyValidation" })

export const VALIDATED = z
  .object({
    isValid: z.boolean().describe("it may have warnings"),
    problems: z.array(
      z.object({
        severity: z.enum(["error", "warning"]).describe("a warning is of something without effect"),
        message: z.string(),
        where: z.string().describe("a path: $.Statement[0].Action[1]"),
        line: count.positive(),
      }),
    ),
    isPublic: z.boolean().optional().describe("of a valid bucket policy: it admits the public, by Amazon's rule"),
  })
  .meta({ id: "ValidatedPolicy" })

export const POLICY_ACTIONS = z
  .object({
    actions: z.array(
      z.object({
        name: z.string().describe("s3:GetObject"),
        on: z.enum(["service", "bucket", "object"]).optional().describe("of S3: what it acts on"),
      }),
    ),
  })
  .meta({ id: "PolicyActions" })
