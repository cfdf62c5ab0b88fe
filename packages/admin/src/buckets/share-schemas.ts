/** Schemas of links by which anybody may read or write an object for a while. */
import { z } from "zod"

const SHARE_SECONDS_MAX = 7 * 86_400

export const SHARE = z
  .strictObject({
    key: z.string().min(1).max(1_024),
    versionId: z.string().max(128).optional().describe("absent: the version that is current when the link is used"),
    method: z.enum(["GET", "PUT"]).default("GET").describe("to read the object, or to write it"),
    expiresSeconds: z.number().int().min(1).max(SHARE_SECONDS_MAX).default(3_600),
    accessKeyId: z
      .string()
      .max(128)
      .optional()
      .describe("the key that signs; for the operator and tokens only, who have none of their own"),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .max(512)
      .optional()
      .describe("how clients reach the S3 port; absent: as this server listens, by the name of the request"),
  })
  .meta({ id: "Share" })

export const SHARED = z
  .object({
    url: z.string().describe("contains a signature: a secret until it expires"),
    method: z.enum(["GET", "PUT"]),
    accessKeyId: z.string().describe("the key that has signed: without it, or its rights, the link ends"),
    expiresMs: z.number().int().describe("milliseconds since 1970; with temporary credentials they may end earlier"),
  })
  .meta({ id: "Shared" })
