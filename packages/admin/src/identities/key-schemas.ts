/** The JSON of `/v1/kms`: named keys, and what uses them. */
import { z } from "zod"

const timestamp = z.number().describe("milliseconds since 1970")
const count = z.number().int().nonnegative()
const EXTERNAL = z
  .object({ kind: z.enum(["vault", "aws"]), name: z.string().describe("the key's name in Vault, its ARN in AWS") })
  .describe("where the materials of the key are; absent: in this store")

export const NAMED_KEY = z
  .object({
    id: z.string(),
    arn: z.string(),
    accountId: z.string(),
    description: z.string(),
    state: z.enum(["enabled", "disabled", "pendingDeletion"]),
    createdMs: timestamp,
    deletionMs: timestamp.optional().describe("from then on the key is deleted, unless something uses it"),
    nextRotationMs: timestamp.optional().describe("absent: the key is not rotated by itself"),
    versions: count.describe("of the key's material"),
    aliases: z.array(z.string()),
    external: EXTERNAL.optional(),
  })
  .meta({ id: "NamedKey" })

export const NAMED_KEYS = z.object({ keys: z.array(NAMED_KEY) }).meta({ id: "NamedKeys" })

export const NEW_NAMED_KEY = z
  .strictObject({
    accountId: z.string().optional().describe("the owner; absent: the root account"),
    description: z.string().optional(),
    alias: z.string().optional().describe("alias/NAME"),
    external: EXTERNAL.optional(),
  })
  .meta({ id: "NewNamedKey" })

export const ADOPT_NAMED_KEY = z
  .strictObject({ accountId: z.string().optional().describe("the owner; absent: the root account") })
  .meta({ id: "AdoptNamedKey" })

export const KEY_DELETION = z
  .strictObject({ days: z.number().int().optional().describe("7 to 30; 30 if absent") })
  .meta({ id: "KeyDeletion" })

export const KEY_DESTRUCTION = z
  .strictObject({ unreadable: count.describe("how many versions become unreadable, as the uses of the key say") })
  .meta({ id: "KeyDestruction" })

export const MASTER_KEY = z
  .object({
    number: count.describe("1, and one more after each rotation"),
    former: z
      .object({ number: count, neededUntilMs: timestamp.describe("sessions and access keys may need it until then") })
      .optional()
      .describe("during a rotation"),
    devices: z
      .array(z.object({ id: z.string(), path: z.string(), isOffline: z.boolean(), node: z.string().optional() }))
      .describe("those that may still have a control record sealed under an earlier key"),
  })
  .meta({ id: "MasterKey" })

export const KEY_USES = z
  .object({
    uses: z.array(z.object({ bucket: z.string(), count: count.describe("versions and unfinished uploads") })),
  })
  .meta({ id: "KeyUses" })
