/** Decides from an object's headers whether the steps of a pipeline can run, and what their result depends on. Pure. */
import type { ObjectInfo } from "@hayloft/objects/index.js"
import type { ModuleInfo, Pipeline, StepVersions, WholeStep } from "./contract.js"
import { TRANSFORM_LIMITS } from "./limits.js"

/** The modules of a pipeline, by name. */
export type FoundModules = ReadonlyMap<string, ModuleInfo>

const MEDIA = /^(?:video|audio)\//i
/** Types that say nothing of the content. */
const VAGUE = /^(?:application\/octet-stream|binary\/octet-stream|text\/plain|application\/xml|text\/xml)\b/i
const NO_TRANSFORM = /(?:^|,)\s*no-transform\s*(?:,|$)/i

/**
 * Returns the reason to skip all steps, or undefined if they can run. `isRule`: a rule applies, not a request by name, so the
 * object's `Cache-Control: no-transform` is obeyed.
 */
export function skipReason(
  { headers, sizeBytes, segmentListBytes }: Pick<ObjectInfo, "headers" | "sizeBytes" | "segmentListBytes">,
  { steps, coding }: Pipeline,
  versions: StepVersions,
  isRule: boolean,
): string | undefined {
  if (coding === undefined && steps.length === 0) return undefined
  // The right to read it is decided for each of its segments as they are read.
  if (segmentListBytes !== undefined) return "large objects of Swift stay as they are"
  const { contentType = "", contentEncoding, cacheControl = "" } = headers
  if (MEDIA.test(contentType)) return "video and audio stay as they are"
  if (isRule && NO_TRANSFORM.test(cacheControl)) return "Cache-Control says no-transform"
  if (contentEncoding !== undefined && !/^(?:aws-chunked|identity)?$/i.test(contentEncoding))
    return "the object has a Content-Encoding"
  if (steps.length > 0 && sizeBytes > TRANSFORM_LIMITS.inputBytesMax)
    return `the object has more than ${TRANSFORM_LIMITS.inputBytesMax} bytes`
  const [first] = steps
  if (first !== undefined && !suits(first, contentType))
    return `the object is no ${first.kind === "image" ? "image" : "SVG"}`
  if (versions.image === undefined && steps.some(({ kind }) => kind === "image"))
    return "the package sharp is not installed"
  return undefined
}

/** By its type. What has none may be anything. */
function suits({ kind }: WholeStep, contentType: string): boolean {
  if (kind === "module" || contentType === "" || VAGUE.test(contentType)) return true
  return kind === "svgmin" ? /^image\/svg\b/i.test(contentType) : /^image\/(?!svg)/i.test(contentType)
}

const moduleVersion = (module: ModuleInfo | undefined) => [module?.sha256, module?.contentType ?? null]

/** All that the bytes and the type of a result depend on, besides the original. */
export const recipeOf = ({ text, steps, coding }: Pipeline, versions: StepVersions, modules: FoundModules): string =>
  JSON.stringify([
    text,
    ...steps.map(step => (step.kind === "module" ? moduleVersion(modules.get(step.name)) : versions[step.kind])),
    ...(coding === undefined ? [] : [versions[coding], TRANSFORM_LIMITS.pieceBytes]),
  ])
