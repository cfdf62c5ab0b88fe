/** Evaluates a coverage report (`coverage-probe.cjs`) of one request: files, functions and calls. Pure. */
import { z } from "zod"

const COVERAGE = z.array(
  z.object({
    url: z.string(),
    functions: z.array(z.object({ name: z.string(), at: z.number(), calls: z.number() })),
  }),
)
export type Coverage = z.output<typeof COVERAGE>

export interface CalledFunction {
  /** "" for an anonymous function. */
  readonly name: string
  /** The offset of its beginning in its built file. */
  readonly at: number
  readonly callsPerRequest: number
}

export interface CalledFile {
  /** The path of the source from the root of the checkout: `packages/protocols/src/s3/handler.ts`. */
  readonly path: string
  readonly functions: readonly CalledFunction[]
}

export interface RequestCost {
  readonly files: number
  readonly functions: number
  /** Calls per request, rounded. */
  readonly calls: number
}

/** Throws if the input is not a report of the probe. */
export const parseCoverage = (value: unknown): Coverage => COVERAGE.parse(value)

/** For each function, the fewest calls in any sample. */
export function leastCalls(samples: readonly Coverage[]): Coverage {
  const calls = samples.map(
    coverage =>
      new Map(
        coverage.flatMap(({ url, functions }) => functions.map(each => [`${url}:${each.at}`, each.calls] as const)),
      ),
  )
  return (samples[0] ?? []).map(({ url, functions }) => ({
    url,
    functions: functions.map(({ name, at }) => ({
      name,
      at,
      calls: Math.min(...calls.map(sample => sample.get(`${url}:${at}`) ?? 0)),
    })),
  }))
}

/** The functions that ran at least once per request, by file. */
export function calledFiles(coverage: Coverage, requests: number): readonly CalledFile[] {
  return coverage
    .map(({ url, functions }) => ({
      path: sourceOf(url),
      functions: functions
        .filter(({ calls }) => calls >= requests)
        .map(({ name, at, calls }) => ({ name, at, callsPerRequest: calls / requests })),
    }))
    .filter(({ functions }) => functions.length > 0)
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

export function costOf(files: readonly CalledFile[]): RequestCost {
  const functions = files.flatMap(file => file.functions)
  const calls = functions.reduce((sum, { callsPerRequest }) => sum + callsPerRequest, 0)
  return { files: files.length, functions: functions.length, calls: Math.round(calls) }
}

/** The paths of those files that the other request does not run. */
export function filesBeyond(files: readonly CalledFile[], other: readonly CalledFile[]): readonly string[] {
  const known = new Set(other.map(({ path }) => path))
  return files.map(({ path }) => path).filter(path => !known.has(path))
}

/** From `…/dist/packages/protocols/src/s3/handler.js` to `packages/protocols/src/s3/handler.ts`. */
function sourceOf(url: string): string {
  const built = url.slice(url.lastIndexOf("/dist/packages/") + "/dist/".length)
  return built.replace(/\.js$/, ".ts")
}
