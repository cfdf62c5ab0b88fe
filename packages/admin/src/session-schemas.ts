/** Schemas of the session of a browser with the admin port. */
import { z } from "zod"
import { TOKEN_SCOPES } from "@hayloft/engine/format/accounts/admin-token.js"

const TEXT_MAX = 8_192
const text = z.string().min(1).max(TEXT_MAX)

export const SIGN_IN = z
  .union([
    z.strictObject({ token: text.describe("of the data folders, or of `hayloft token create`") }),
    z.strictObject({
      accessKeyId: text,
      secretAccessKey: text,
      sessionToken: text.optional().describe("of temporary credentials"),
    }),
    z.strictObject({
      ldap: z.strictObject({ username: text, password: text }).describe("of a person of the LDAP directory"),
    }),
    z.strictObject({
      oidc: z.strictObject({
        returnTo: z
          .string()
          .max(1_024)
          .optional()
          .describe("the page of the console to come back to; default: its first page"),
      }),
    }),
  ])
  .meta({ id: "SignIn" })

const WHO = z.union([
  z.object({ kind: z.literal("operator") }),
  z.object({ kind: z.literal("token"), id: z.string(), name: z.string(), scopes: z.array(z.enum(TOKEN_SCOPES)) }),
  z.object({
    kind: z.literal("principal"),
    accessKeyId: z.string(),
    accountId: z.string(),
    accountNumber: z.string(),
    arn: z.string().describe("of the root user, the user, or the session of a role"),
    isRoot: z.boolean().describe("the root user of its account"),
  }),
])

export const SESSION = z
  .object({
    who: WHO.optional().describe("absent if nobody has signed in, or not any more"),
    csrf: z.string().optional().describe("for the header x-hayloft-csrf of every request but GET and HEAD"),
    idleEndMs: z.number().optional().describe("when the session ends unless it is used"),
    endMs: z.number().optional().describe("when it ends in any case"),
    operations: z
      .array(z.string())
      .describe(
        "ids of the operations that may be used; for those in `depends`, that policies name actions of their kind",
      ),
    depends: z
      .array(z.string())
      .describe("those of `operations` of which each request is decided by what it acts on, and may be refused"),
    off: z
      .array(z.string())
      .optional()
      .describe("those that the store has switched off; absent if nobody has signed in"),
    methods: z.object({
      token: z.boolean(),
      key: z.boolean(),
      ldap: z.boolean().describe("by a name and a password of the LDAP directory"),
      oidc: z.object({ issuer: z.string() }).optional().describe("absent if no provider is configured"),
    }),
    isEncrypted: z.boolean().describe("the connection has TLS, here or at a proxy"),
    version: z.string(),
    s3: z
      .object({ endpoint: z.string().describe("as clients reach it"), region: z.string() })
      .optional()
      .describe("where clients find S3; absent if nobody has signed in"),
  })
  .meta({ id: "Session" })

export const REDIRECTION = z
  .object({ location: z.string().describe("of the provider, where the browser is to go next") })
  .meta({ id: "Redirection" })
