/**
 * The OpenAPI 3.1 document of the admin port, generated from the table of operations and its schemas.
 * docs/openapi.json is a checked-in copy; a test compares them.
 */
import { z } from "zod"
import type { Operation } from "./operation.js"
import { OPERATIONS } from "./operations.js"
import { ERROR, HEALTH } from "./schemas.js"
import { scopesFor } from "./scopes-core.js"

type Json = Readonly<Record<string, unknown>>

/** A schema by reference; named schemas are collected under components. */
function schemaOf(type: z.ZodType, io: "input" | "output", components: Map<string, Json>): Json {
  const { $schema: _, $defs, ...schema } = z.toJSONSchema(type, { io, target: "draft-2020-12" })
  for (const [name, { id: __, ...definition }] of Object.entries($defs ?? {})) components.set(name, repoint(definition))
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

function operationJson(operation: Operation, components: Map<string, Json>): Json {
  const target = /\{(\w+)\}/.exec(operation.path)?.[1]
  const inPath = target === undefined ? [] : [{ name: target, in: "path", required: true, schema: { type: "string" } }]
  const inQuery = operation.parameters.map(parameter => ({ ...parameter, in: "query", schema: { type: "string" } }))
  const { status, schema } = operation.response
  const content = schema === undefined ? {} : { content: json(schemaOf(schema, "output", components)) }
  return {
    operationId: operation.id,
    summary: operation.summary,
    description: `Scopes: ${scopesFor(operation).join(" or ")}.`,
    parameters: [...inPath, ...inQuery],
    ...(operation.request === undefined
      ? {}
      : {
          requestBody: {
            required: operation.isBodyOptional !== true,
            content: json(schemaOf(operation.request, "input", components)),
          },
        }),
    responses: {
      [status]: { description: status === 204 ? "done" : "the result", ...content },
      401: {
        description: "the token is missing, wrong or expired",
        content: json(schemaOf(ERROR, "output", components)),
      },
      403: {
        description: "the scopes of the token do not allow this",
        content: json(schemaOf(ERROR, "output", components)),
      },
      default: { description: "a failure; see its code", content: json(schemaOf(ERROR, "output", components)) },
    },
    security: [{ token: [] }],
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

function openApiDocument(): Json {
  const components = new Map<string, Json>()
  const paths = openPaths(components)
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
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  }
}

export const openApiText = (): string => `${JSON.stringify(openApiDocument(), undefined, 2)}\n`
