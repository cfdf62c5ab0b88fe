/** Objects as commands name them. Pure. */
import { CommandProblem } from "./command.js"

/** `BUCKET/KEY`, `s3://BUCKET/KEY`. Throws a `CommandProblem` with this message. */
export function objectPlace(text: string, problem: string): { readonly bucket: string; readonly key: string } {
  const [, bucket, key] = /^(?:s3:\/\/)?([^/:]+)\/([\s\S]+)$/.exec(text) ?? []
  if (bucket === undefined || key === undefined) throw new CommandProblem("usage", problem)
  return { bucket, key }
}
