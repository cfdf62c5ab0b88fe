/**
 * Credentials of AWS as its tools keep them: a file with sections, of which `[default]` counts, or lines without a
 * section. Pure.
 * Source  "Configuration and credential file settings", AWS CLI User Guide.
 */
import { fail } from "@hayloft/base/failures.js"

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secret: string
  readonly sessionToken: string | undefined
}

/** The sections whose credentials are taken. */
const OURS: readonly string[] = ["default", "profile default"]

/** Throws `invalidConfig`; messages never contain what the file does. */
export function credentialsOf(text: string, path: string): AwsCredentials {
  const settings = new Map<string, string>()
  let isOurs = true
  for (const line of text.split(/\r?\n/)) {
    const [, section] = /^\[(.*)\]$/.exec(line.trim()) ?? []
    if (section !== undefined) isOurs = OURS.includes(section.trim())
    const [, name, value] = /^([a-z_]+)\s*=(.*)$/.exec(line.trim()) ?? []
    if (isOurs && name !== undefined && value !== undefined) settings.set(name, value.trim())
  }
  const [accessKeyId, secret] = [settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")]
  // Headers carry the key and the token: they are printable.
  const isUsable = [accessKeyId, secret].every(value => value !== undefined && /^[\x21-\x7e]+$/.test(value))
  if (accessKeyId === undefined || secret === undefined || !isUsable) {
    throw fail("invalidConfig", {
      message: `the file ${path} has no aws_access_key_id and aws_secret_access_key in its section [default]`,
    })
  }
  const sessionToken = settings.get("aws_session_token")
  return { accessKeyId, secret, sessionToken: sessionToken === "" ? undefined : sessionToken }
}
