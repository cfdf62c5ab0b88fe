/**
 * Pipelines as text: `step|step`, a step being `name,parameter=value,parameter=value`. In values `%`, `,`, `|` and whatever a
 * client likes are percent-encoded. Pure.
 *
 * Promises  The canonical text of a pipeline parses to the same pipeline.
 * Refuses   Unknown steps (`noSuchTransform` once modules are known, since a name may be one), parameters that a step does
 *           not have, values out of range, and orders that make no sense: `invalidArgument`.
 * Limits    TRANSFORM_LIMITS.textBytesMax, stepsMax.
 */
import { fail, type Failure } from "@hayloft/base/failures.js"
import { parseModuleName } from "@hayloft/base/ids.js"
import {
  CODINGS,
  FITS,
  IMAGE_FORMATS,
  type ArchiveStep,
  type Coding,
  type ImageStep,
  type Pipeline,
  type WholeStep,
} from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"

const DIMENSION_MAX = 16_384
const QUALITY_MAX = 100

/** A parsed step, by its part in the pipeline. */
type Step =
  | { readonly part: "archive"; readonly step: ArchiveStep }
  | { readonly part: "whole"; readonly step: WholeStep }
  | { readonly part: "coding"; readonly coding: Coding }

interface Written {
  readonly name: string
  /** The text of the parameters in the form in which it was written, still encoded. */
  readonly rest: string
  readonly parameters: Map<string, string>
}

/** Throws `invalidArgument`. */
export function parsePipeline(text: string): Pipeline {
  if (Buffer.byteLength(text) > TRANSFORM_LIMITS.textBytesMax)
    throw refusal(text, `a pipeline has at most ${TRANSFORM_LIMITS.textBytesMax} bytes`)
  const written = text.split("|")
  if (written.length > TRANSFORM_LIMITS.stepsMax)
    throw refusal(text, `a pipeline has at most ${TRANSFORM_LIMITS.stepsMax} steps`)
  let archive: ArchiveStep | undefined
  let coding: Coding | undefined
  const steps: WholeStep[] = []
  for (const each of written) {
    const parsed = parseStep(each)
    if (coding !== undefined) throw refusal(text, `${coding} is the last step: nothing can follow it`)
    if (parsed.part === "coding") coding = parsed.coding
    else if (parsed.part === "whole") steps.push(parsed.step)
    else if (archive !== undefined || steps.length > 0) throw refusal(text, "tar is the first step")
    else archive = parsed.step
  }
  if (archive?.kind === "list" && written.length > 1) throw refusal(text, "nothing can follow a listing")
  const pipeline = pipelineOf({ archive, steps, coding })
  // It is stored in this form, and must be accepted again.
  if (pipeline.text.length > TRANSFORM_LIMITS.textBytesMax)
    throw refusal(text, `a pipeline has at most ${TRANSFORM_LIMITS.textBytesMax} bytes once it is percent-encoded`)
  return pipeline
}

interface Parts {
  readonly archive?: ArchiveStep | undefined
  readonly steps: readonly WholeStep[]
  readonly coding?: Coding | undefined
}

function pipelineOf({ archive, steps, coding }: Parts): Pipeline {
  const texts = [
    ...(archive === undefined ? [] : [textOfArchive(archive)]),
    ...steps.map(textOfStep),
    ...(coding === undefined ? [] : [coding]),
  ]
  return { text: texts.join("|"), ...(archive && { archive }), steps, ...(coding && { coding }) }
}

/** The same without its coding: for a client that does not accept it. */
export const withoutCoding = ({ archive, steps }: Pipeline): Pipeline => pipelineOf({ archive, steps })

function parseStep(text: string): Step {
  const step = writtenOf(text)
  switch (step.name) {
    case "tar":
      return { part: "archive", step: archiveOf(step) }
    case "image":
      return { part: "whole", step: imageOf(step) }
    case "svgmin":
      allow(step, [])
      return { part: "whole", step: { kind: "svgmin" } }
    default: {
      const coding = CODINGS.find(each => each === step.name)
      if (coding === undefined) return { part: "whole", step: moduleOf(step) }
      allow(step, [])
      return { part: "coding", coding }
    }
  }
}

function writtenOf(text: string): Written {
  const [name = "", ...rest] = text.split(",")
  const parameters = new Map<string, string>()
  for (const each of rest) {
    const at = each.indexOf("=")
    if (at <= 0) throw refusal(text, "a parameter is written name=value")
    const key = each.slice(0, at)
    if (parameters.has(key)) throw refusal(text, `the parameter ${key} is given twice`)
    parameters.set(key, decoded(each.slice(at + 1), text))
  }
  return { name, rest: rest.join(","), parameters }
}

function decoded(value: string, text: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw refusal(text, `${value.slice(0, 40)} is not percent-encoded UTF-8`)
  }
}

/** The characters that have a meaning in a pipeline, and those that a header could not show. */
const encoded = (value: string): string => encodeURIComponent(value).replaceAll("%2F", "/")

function allow({ name, parameters }: Written, names: readonly string[]): void {
  for (const key of parameters.keys())
    if (!names.includes(key))
      throw refusal(
        name,
        `it has no parameter ${key.slice(0, 40)}${names.length > 0 ? `, but ${names.join(", ")}` : ""}`,
      )
}

function numberOf({ name, parameters }: Written, key: string, max: number): number | undefined {
  const text = parameters.get(key)
  if (text === undefined) return undefined
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > max) throw refusal(name, `${key} is a number from 1 to ${max}`)
  return value
}

function wordOf<Word extends string>(
  { name, parameters }: Written,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const text = parameters.get(key)
  if (text === undefined) return undefined
  const word = words.find(each => each === text)
  if (word === undefined) throw refusal(name, `${key} is one of ${words.join(", ")}`)
  return word
}

function archiveOf(step: Written): ArchiveStep {
  const { parameters } = step
  const path = parameters.get("member")
  if (path !== undefined) {
    allow(step, ["member"])
    if (path === "") throw refusal("tar", "member is the path of a file in the archive")
    return { kind: "member", path }
  }
  allow(step, ["member", "prefix", "after", "max"])
  const membersMax = numberOf(step, "max", TRANSFORM_LIMITS.listedMax) ?? TRANSFORM_LIMITS.listedMax
  return { kind: "list", prefix: parameters.get("prefix") ?? "", after: parameters.get("after") ?? "", membersMax }
}

function imageOf(step: Written): ImageStep {
  allow(step, ["width", "height", "fit", "format", "quality"])
  const width = numberOf(step, "width", DIMENSION_MAX)
  const height = numberOf(step, "height", DIMENSION_MAX)
  const format = wordOf(step, "format", IMAGE_FORMATS)
  const quality = numberOf(step, "quality", QUALITY_MAX)
  const fit = wordOf(step, "fit", FITS) ?? "inside"
  if (width === undefined && height === undefined && format === undefined && quality === undefined)
    throw refusal("image", "say a width, a height, a format or a quality")
  return {
    kind: "image",
    fit,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(format !== undefined && { format }),
    ...(quality !== undefined && { quality }),
  }
}

function moduleOf({ name, rest }: Written): WholeStep {
  try {
    return { kind: "module", name: parseModuleName(name), parameters: rest }
  } catch {
    throw refusal(name, "there is no such step, and it is no name of a module")
  }
}

const textOfArchive = (step: ArchiveStep): string =>
  step.kind === "member"
    ? `tar,member=${encoded(step.path)}`
    : [
        "tar",
        ...(step.prefix === "" ? [] : [`prefix=${encoded(step.prefix)}`]),
        ...(step.after === "" ? [] : [`after=${encoded(step.after)}`]),
        ...(step.membersMax === TRANSFORM_LIMITS.listedMax ? [] : [`max=${step.membersMax}`]),
      ].join(",")

function textOfStep(step: WholeStep): string {
  if (step.kind === "svgmin") return "svgmin"
  if (step.kind === "module") return step.parameters === "" ? step.name : `${step.name},${step.parameters}`
  const { width, height, fit, format, quality } = step
  const values = Object.entries({ width, height, fit, format, quality })
  return ["image", ...values.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))].join(",")
}

function refusal(text: string, fault: string): Failure {
  return fail("invalidArgument", {
    argumentName: "x-transform",
    argumentValue: text.slice(0, 80),
    message: `The transform "${text.slice(0, 80)}" is refused: ${fault}.`,
  })
}
