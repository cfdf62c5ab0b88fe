/**
 * The OpenAPI 3.1 document of the admin port, generated from the table of operations and its schemas.
 * docs/reference/openapi.json is a checked-in copy; a test compares them.
 */
import { isDeepStrictEqual } from "node:util"
import { fail } from "@hayloft/base/failures.js"
import { z } from "zod"
import type { AdminOperation } from "./operation.js"
import { OPERATIONS } from "./operations.js"
import { bracesOf } from "./path-template-core.js"
import { CSRF_HEADER, SESSION_COOKIE } from "./browser-checks-core.js"
import { actionOf } from "@hayloft/features/operator/index.js"
import { S3_PREFIX } from "./s3-path.js"
import { REDIRECTION, SESSION, SIGN_IN } from "./session-schemas.js"
import { ERROR, HEALTH } from "./schemas.js"
import { scopesFor } from "./scopes-core.js"
import { streamOf } from "./stream-schemas.js"

type Json = Readonly<Record<string, unknown>>

/**
 * A schema by reference; named schemas are collected under components. Throws if two that differ have one name: clients would
 * read the answers of one by the other.
 */
function schemaOf(type: z.ZodType, io: "input" | "output", components: Map<string, Json>): Json {
  const { $schema: _, $defs, ...schema } = z.toJSONSchema(type, { io, target: "draft-2020-12" })
  for (const [name, { id: __, ...definition }] of Object.entries($defs ?? {})) {
    const named = repoint(definition)
    const other = components.get(name)
    if (other !== undefined && !isDeepStrictEqual(other, named))
      throw fail("internal", { reason: "two schemas have one name", name })
    components.set(name, named)
  }
  return repoint(schema)
}

/** Rewrites references into `$defs` to point to the components. */
function repoint(schema: object): Json {
  return Object.fromEntries(
    Object.entries(schema).map(([name, value]) =>
      name === "$ref" && typeof value === "string"
        ? [name, value.replace("#/$defs/", "#/components/schemas/")]
        : [name, repointed(value)],
    ),
  )
}

function repointed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(repointed)
  return typeof value === "object" && value !== null ? repoint(value) : value
}

const json = (schema: Json): Json => ({ "application/json": { schema } })
const lines = (schema: Json): Json => ({ "application/x-ndjson": { schema } })

function bodyJson({ request, bytesType, isBodyOptional }: AdminOperation, components: Map<string, Json>): Json {
  if (bytesType !== undefined) return { requestBody: { required: true, content: { [bytesType]: {} } } }
  if (request === undefined) return {}
  const content = json(schemaOf(request, "input", components))
  return { requestBody: { required: isBodyOptional !== true, content } }
}

function operationJson(operation: AdminOperation, components: Map<string, Json>): Json {
  const inPath = bracesOf(operation.path).map(name => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }))
  const inQuery = operation.parameters.map(parameter => ({ ...parameter, in: "query", schema: { type: "string" } }))
  const { status, schema, isStream = false } = operation.response
  const typed = isStream ? lines : json
  const shown = schema && isStream ? streamOf(schema) : schema
  const content = shown === undefined ? {} : { content: typed(schemaOf(shown, "output", components)) }
  const done = isStream ? "JSON lines, each by this schema, until the client leaves" : "the result"
  return {
    operationId: operation.id,
    summary: operation.summary,
    description: `Scopes: ${scopesFor(operation).join(" or ")}. Permission: ${permissionOf(operation)}.`,
    parameters: [...inPath, ...inQuery],
    ...bodyJson(operation, components),
    responses: {
      [status]: { description: status === 204 ? "done" : done, ...content },
      ...(operation.mayStartJob === true && { 202: { description: "the work goes on in a job", ...content } }),
      401: {
        description: "nobody has signed in, or the token is missing, wrong or expired",
        content: json(schemaOf(ERROR, "output", components)),
      },
      403: {
        description: "the scopes of the token, or the policies of whoever has signed in, do not allow this",
        content: json(schemaOf(ERROR, "output", components)),
      },
      default: { description: "a failure; see its code", content: json(schemaOf(ERROR, "output", components)) },
    },
    security: [{ token: [] }, { session: [] }],
  }
}

const sessionPaths = (components: Map<string, Json>): Record<string, Json> => {
  const answer = (status: number, description: string, type?: z.ZodType): Json => ({
    [status]: { description, ...(type && { content: json(schemaOf(type, "output", components)) }) },
  })
  const failure = answer(403, "another origin made the request, or the header x-hayloft-csrf is wrong", ERROR)
  return {
    "/v1/session": {
      get: {
        operationId: "getSession",
        summary: "Returns who has signed in, until when, what may be used, and how one can sign in.",
        responses: { ...answer(200, "the session, if there is one", SESSION), ...failure },
        security: [{}, { token: [] }, { session: [] }],
      },
      post: {
        operationId: "signIn",
        summary: "Signs a browser in: sets the cookie of a session. By OpenID Connect it first returns where to go.",
        requestBody: { required: true, content: json(schemaOf(SIGN_IN, "input", components)) },
        responses: {
          ...answer(200, "by OpenID Connect: where the browser goes next", REDIRECTION),
          ...answer(201, "the session", SESSION),
          ...answer(400, "the request is not one of these forms", ERROR),
          ...answer(401, "the credentials are not valid", ERROR),
          ...failure,
          ...answer(429, "too many attempts from this address have failed; see Retry-After", ERROR),
        },
        security: [{}],
      },
      delete: {
        operationId: "signOut",
        summary: "Ends the session, on every node.",
        responses: { ...answer(204, "done"), ...failure },
        security: [{ session: [] }],
      },
    },
    "/v1/session/oidc": {
      get: {
        operationId: "signInByProvider",
        summary: "The provider of OpenID Connect sends the browser here; this sends it to the console.",
        parameters: ["code", "state", "error"].map(name => ({ name, in: "query", schema: { type: "string" } })),
        responses: answer(303, "to the console, with a session or with the reason why there is none"),
        security: [{}],
      },
    },
  }
}

const openPaths = (components: Map<string, Json>): Record<string, Json> => ({
  "/health/live": {
    get: {
      operationId: "getLive",
      summary: "Returns 200 while the process responds.",
      responses: { 200: { description: "alive", content: json(schemaOf(HEALTH, "output", components)) } },
    },
  },
  "/health/ready": {
    get: {
      operationId: "getReady",
      summary: "Returns 200 while requests may be sent here.",
      responses: {
        200: { description: "ready", content: json(schemaOf(HEALTH, "output", components)) },
        503: { description: "not ready, with the reasons", content: json(schemaOf(HEALTH, "output", components)) },
      },
    },
  },
  "/metrics": {
    get: {
      operationId: "getMetrics",
      summary: "Returns metrics for Prometheus; no token is needed if the port listens on loopback only.",
      responses: {
        200: { description: "text format 0.0.4", content: { "text/plain": { schema: { type: "string" } } } },
      },
      security: [{}, { token: [] }],
    },
  },
})

/** One path for all of S3, which its own documents describe. */
const S3_PATH: Record<string, Json> = {
  [`${S3_PREFIX}/{target}`]: {
    summary: "S3, by the caller that has signed in.",
    description: `\`${S3_PREFIX}/BUCKET/KEY?…\` is the request \`/BUCKET/KEY?…\` of S3, without a signature: every method and operation but forms (PostObject) and OPTIONS. Refusals of this port (401, and 403 for a scope or another origin) are JSON; other answers are S3's. Scopes: all. Permission: as by S3.`,
    "x-hayloft-protocol": "s3",
    parameters: [{ name: "target", in: "path", required: true, schema: { type: "string" } }],
  },
}

function permissionOf(operation: AdminOperation): string {
  if (operation.own !== undefined) return operation.own.permission
  if (operation.permission === undefined) return actionOf(operation.id)
  return operation.mayNeedOwnAction ? `as by S3 or IAM, ${actionOf(operation.id)} for all accounts` : "as by S3 or IAM"
}

function openApiDocument(): Json {
  const components = new Map<string, Json>()
  const paths = { ...openPaths(components), ...sessionPaths(components), ...S3_PATH }
  for (const operation of OPERATIONS) {
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method.toLowerCase()]: operationJson(operation, components),
    }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Hayloft admin API",
      version: "1",
      description: "For the operator of a store. Send the token in `Authorization: Bearer …`, never in a URL.",
    },
    paths,
    components: {
      schemas: Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
      securitySchemes: {
        token: { type: "http", scheme: "bearer" },
        session: {
          type: "apiKey",
          in: "cookie",
          name: SESSION_COOKIE,
          description: `With __Host- before its name under TLS. Requests but GET and HEAD need the header ${CSRF_HEADER}.`,
        },
      },
    },
  }
}

export const openApiText = (): string => `${JSON.stringify(openApiDocument(), undefined, 2)}\n`
