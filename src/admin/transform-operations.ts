/** The operations of `/v1/transforms`: what transforms can do and have to do here, and the modules of administrators. */
import type { z } from "zod"
import { must } from "../base/assert.js"
import { fail } from "../base/failures.js"
import { parseModuleName, type ModuleName } from "../base/ids.js"
import type { ModuleInfo, StepVersions, TransformAdmin } from "../features/transforms/contract.js"
import { TRANSFORM_LIMITS } from "../features/transforms/index.js"
import type { Operation, OperationInput, Services } from "./operation.js"
import { TRANSFORM_MODULE, TRANSFORM_MODULES, TRANSFORMS } from "./transform-schemas.js"

const PATH = "/v1/transforms"
const MODULES = `${PATH}/modules`
/** A type and a subtype, and at most one parameter: `text/html; charset=utf-8`. */
const CONTENT_TYPE =
  /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}(?:; ?[A-Za-z0-9-]{1,32}=[A-Za-z0-9_.-]{1,64})?$/

type Module = z.output<typeof TRANSFORM_MODULE>
type Report = z.output<typeof TRANSFORMS>

/** Throws `notImplemented` if transforms are switched off. */
function switchedOn({ transforms }: Services): TransformAdmin {
  if (transforms !== undefined) return transforms
  throw fail("notImplemented", { message: "transforms are switched off: start the store with --transforms" })
}

/** Throws `invalidArgument`. */
const nameOf = ({ segment }: OperationInput): ModuleName => parseModuleName(segment("module"))

function moduleJson({ contentType, name, sha256, sizeBytes, modifiedMs }: ModuleInfo): Module {
  return { name, sha256, sizeBytes, modifiedMs, ...(contentType !== undefined && { contentType }) }
}

/** Members of archives have no version: they are what the archive has. */
function stepsOf({ svgmin, image, gzip, zstd }: StepVersions): Report["steps"] {
  const versioned = Object.entries({ svgmin, image, gzip, zstd }).map(([name, version]) => ({
    ...{ name, isAvailable: version !== undefined },
    ...(version !== undefined && { version }),
  }))
  return [...versioned, { name: "tar", isAvailable: true }]
}

async function report(services: Services): Promise<Report> {
  const transforms = switchedOn(services)
  const { threads, running, waiting, versions, results } = await transforms.report()
  const modules = (await transforms.modules()).map(moduleJson)
  const { moduleBytesMax } = TRANSFORM_LIMITS
  return { threads, running, waiting, steps: stepsOf(versions), modules, moduleBytesMax, results: { ...results } }
}

async function listModules(services: Services): Promise<z.output<typeof TRANSFORM_MODULES>> {
  return { modules: (await switchedOn(services).modules()).map(moduleJson) }
}

async function getModule(services: Services, input: OperationInput): Promise<Module> {
  const [transforms, name] = [switchedOn(services), nameOf(input)]
  const found = (await transforms.modules()).find(each => each.name === name)
  if (found !== undefined) return moduleJson(found)
  throw fail("noSuchTransform", { message: `There is no transform "${name}".` })
}

async function putModule(services: Services, input: OperationInput): Promise<Module> {
  const [transforms, name] = [switchedOn(services), nameOf(input)]
  const contentType = input.query.get("contentType")
  if (contentType !== undefined && !CONTENT_TYPE.test(contentType))
    throw fail("invalidArgument", { message: `"${contentType.slice(0, 80)}" is not a content type` })
  const code = must(input.body instanceof Uint8Array ? input.body : undefined, "the operation takes bytes")
  return moduleJson(await transforms.putModule(name, code, contentType))
}

export const TRANSFORM_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getTransforms", method: "GET", path: PATH, request: undefined },
    summary: "Returns the steps of transforms, what their threads have to do, and which results are kept.",
    parameters: [],
    response: { status: 200, schema: TRANSFORMS },
    run: report,
  },
  {
    ...{ id: "listTransformModules", method: "GET", path: MODULES, request: undefined },
    summary: "Lists the WebAssembly modules that are steps of transforms.",
    parameters: [],
    response: { status: 200, schema: TRANSFORM_MODULES },
    run: listModules,
  },
  {
    ...{ id: "getTransformModule", method: "GET", path: `${MODULES}/{module}`, request: undefined },
    summary: "Returns what is known of a module.",
    parameters: [],
    response: { status: 200, schema: TRANSFORM_MODULE },
    run: getModule,
  },
  {
    ...{ id: "putTransformModule", method: "PUT", path: `${MODULES}/{module}`, request: undefined },
    summary: "Adds a WebAssembly module as a step of transforms, or replaces it. The body is the module itself.",
    parameters: [{ name: "contentType", description: "of its results; absent: that of its input" }],
    ...{ bytesType: "application/wasm", bodyBytesMax: TRANSFORM_LIMITS.moduleBytesMax },
    response: { status: 200, schema: TRANSFORM_MODULE },
    run: putModule,
  },
  {
    ...{ id: "deleteTransformModule", method: "DELETE", path: `${MODULES}/{module}`, request: undefined },
    summary:
      "Removes a module. Requests that name it then fail, rules of buckets that name it leave objects as they are.",
    parameters: [],
    response: { status: 204, schema: undefined },
    run: async (services, input) => switchedOn(services).removeModule(nameOf(input)),
  },
]
