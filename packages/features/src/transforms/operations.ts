/** The operations of `/v1/transforms`: what transforms can do and have to do here, and the modules of administrators. */
import type { z } from "zod"
import { must } from "@hayloft/base/assert.js"
import { fail } from "@hayloft/base/failures.js"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText, timeText } from "@hayloft/base/text/report-text.js"
import { parseModuleName, type ModuleName } from "@hayloft/base/ids.js"
import type { ModuleInfo, StepVersions, TransformAdmin } from "./contract.js"
import { action, operation, type Operation, type OperationInput, type OperatorServices } from "../operator/index.js"
import { TRANSFORM_LIMITS } from "./limits.js"
import { TRANSFORM_MODULE, TRANSFORM_MODULES, TRANSFORMS } from "./schemas.js"
import { TRANSFORM_ADMIN } from "./services.js"

const PATH = "/v1/transforms"
const MODULES = `${PATH}/modules`
/** A type and a subtype, and at most one parameter: `text/html; charset=utf-8`. */
const CONTENT_TYPE =
  /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}(?:; ?[A-Za-z0-9-]{1,32}=[A-Za-z0-9_.-]{1,64})?$/

type Module = z.output<typeof TRANSFORM_MODULE>
type Report = z.output<typeof TRANSFORMS>

/** Throws `notImplemented` if transforms are switched off. */
function switchedOn({ core }: OperatorServices): TransformAdmin {
  const transforms = TRANSFORM_ADMIN.find(core)
  if (transforms !== undefined) return transforms
  throw fail("notImplemented", { message: "transforms are switched off: start the store with --transforms" })
}

/** Throws `invalidArgument`. */
const moduleIn = ({ segment }: OperationInput): ModuleName => parseModuleName(segment("module"))

function moduleJson({ contentType, name, sha256, sizeBytes, modifiedMs }: ModuleInfo): Module {
  return { name, sha256, sizeBytes, modifiedMs, ...(contentType !== undefined && { contentType }) }
}

/** Members of archives have no version: they are what the archive has. */
function stepsOf({ svgmin, image, gzip, zstd }: StepVersions): Report["steps"] {
  const versioned = Object.entries({ svgmin, image, gzip, zstd }).map(([name, version]) => ({
    name,
    isAvailable: version !== undefined,
    ...(version !== undefined && { version }),
  }))
  return [...versioned, { name: "tar", isAvailable: true }]
}

async function report(services: OperatorServices): Promise<Report> {
  const transforms = switchedOn(services)
  const { threads, running, waiting, versions, results } = await transforms.report()
  const modules = (await transforms.modules()).map(moduleJson)
  const { moduleBytesMax } = TRANSFORM_LIMITS
  return { threads, running, waiting, steps: stepsOf(versions), modules, moduleBytesMax, results: { ...results } }
}

async function listModules(services: OperatorServices): Promise<z.output<typeof TRANSFORM_MODULES>> {
  return { modules: (await switchedOn(services).modules()).map(moduleJson) }
}

async function getModule(services: OperatorServices, input: OperationInput): Promise<Module> {
  const [transforms, name] = [switchedOn(services), moduleIn(input)]
  const found = (await transforms.modules()).find(each => each.name === name)
  if (found !== undefined) return moduleJson(found)
  throw fail("noSuchTransform", { message: `There is no transform "${name}".` })
}

async function putModule(services: OperatorServices, input: OperationInput): Promise<Module> {
  const [transforms, name] = [switchedOn(services), moduleIn(input)]
  const contentType = input.query.get("contentType")
  if (contentType !== undefined && !CONTENT_TYPE.test(contentType))
    throw fail("invalidArgument", { message: `"${contentType.slice(0, 80)}" is not a content type` })
  const code = must(input.body instanceof Uint8Array ? input.body : undefined, "the operation takes bytes")
  return moduleJson(await transforms.putModule(name, code, contentType))
}

/** These digits of a hash suffice to tell modules apart. */
const HASH_DIGITS = 12

function reportText({ threads, running, waiting, steps, modules, results }: Report): string {
  const builtIn = steps.map(({ name, isAvailable, version = "" }) => [
    name,
    isAvailable ? "built in" : "not available here",
    "",
    "",
    printable(version),
  ])
  const uploaded = modules.map(({ name, sha256, sizeBytes, contentType, modifiedMs }) => [
    name,
    `module of ${timeText(modifiedMs)}`,
    sizeText(sizeBytes),
    contentType === undefined ? "as its input" : printable(contentType),
    sha256.slice(0, HASH_DIGITS),
  ])
  const table = tableText(["STEP", "KIND", "SIZE", "TYPE OF RESULTS", "VERSION"], [...builtIn, ...uploaded])
  const { count, sizeBytes, sizeBytesMax } = results
  return [
    table,
    `${countText(running)} of ${countText(threads)} ${threads === 1 ? "process" : "processes"} at work, ${plural(waiting, "request")} waiting\n`,
    `${plural(count, "result")} kept: ${sizeText(sizeBytes)} of ${sizeText(sizeBytesMax)}\n`,
  ].join("")
}

export const TRANSFORM_OPERATIONS: readonly Operation[] = [
  operation("getTransforms", `GET ${PATH}`, {
    summary: "Returns the steps of transforms, what their processes have to do, and which results are kept.",
    answer: TRANSFORMS,
    isOff: ({ core }) => TRANSFORM_ADMIN.find(core) === undefined,
    run: report,
    commands: [
      {
        name: "transform list",
        help: "steps that pipelines may have, modules among them, and what is running",
        text: reportText,
      },
    ],
  }),
  operation("listTransformModules", `GET ${MODULES}`, {
    summary: "Lists the WebAssembly modules that are steps of transforms.",
    answer: TRANSFORM_MODULES,
    run: listModules,
  }),
  operation("getTransformModule", `GET ${MODULES}/{module}`, {
    summary: "Returns what is known of a module.",
    answer: TRANSFORM_MODULE,
    run: getModule,
  }),
  operation("putTransformModule", `PUT ${MODULES}/{module}`, {
    summary: "Adds a WebAssembly module as a step of transforms, or replaces it. The body is the module itself.",
    parameters: [{ name: "contentType", description: "of its results; absent: that of its input" }],
    bytesType: "application/wasm",
    bodyBytesMax: TRANSFORM_LIMITS.moduleBytesMax,
    answer: TRANSFORM_MODULE,
    run: putModule,
    commands: [
      {
        name: "transform put",
        help: "upload a WebAssembly module as a step, or replace it",
        inputs: {
          module: { flags: "<NAME>", help: "of the step: lower-case letters, digits and hyphens" },
          body: { flags: "<FILE>", help: "- for standard input", reads: "bytes" },
          contentType: { flags: "--content-type <TYPE>", help: "of its results (default: that of its input)" },
        },
        text: ({ sizeBytes, sha256 }, given) =>
          `${given("module")} is a step of transforms: ${sizeText(sizeBytes)}, ${sha256}\n`,
      },
    ],
  }),
  action("deleteTransformModule", `DELETE ${MODULES}/{module}`, {
    summary:
      "Removes a module. Requests that name it then fail, rules of buckets that name it leave objects as they are.",
    run: async (services, input) => switchedOn(services).removeModule(moduleIn(input)),
    commands: [
      {
        name: "transform remove",
        help: "remove a module; requests that name it then fail, rules of buckets that name it leave objects as they are",
        inputs: { module: { flags: "<NAME>" } },
        json: (_, given) => ({ name: given("module"), deleted: true }),
        text: (_, given) => `removed the module ${given("module")}\n`,
      },
    ],
  }),
]
