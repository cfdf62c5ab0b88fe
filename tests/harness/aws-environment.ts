/** The environment in which programs made for AWS connect to a store, and to nothing else. */
import { CREDENTIALS, REGION } from "./server.js"

interface Keys {
  readonly accessKey: string
  readonly secretKey: string
  readonly token?: string | undefined
}

export interface AwsPlace {
  readonly endpoint: string
  /** An empty folder: the user's own configuration must not apply. */
  readonly home: string
  readonly credentials?: Keys
}

const FIRST_WITH_VARIABLE: Readonly<Record<number, number>> = { 1: 29, 2: 13 }

/** Returns true if an AWS CLI reads `AWS_ENDPOINT_URL`, by the output of `aws --version`; others would call Amazon. */
export function readsEndpointVariable(version: string): boolean {
  const [, major, minor] = /^aws-cli\/(\d+)\.(\d+)\./.exec(version) ?? []
  const first = FIRST_WITH_VARIABLE[Number(major)]
  return first !== undefined && Number(minor) >= first
}

export const awsEnvironment = ({ endpoint, home, credentials }: AwsPlace) => ({
  AWS_ACCESS_KEY_ID: (credentials ?? CREDENTIALS).accessKey,
  AWS_SECRET_ACCESS_KEY: (credentials ?? CREDENTIALS).secretKey,
  AWS_SESSION_TOKEN: credentials?.token,
  AWS_PROFILE: undefined,
  AWS_REGION: REGION,
  AWS_DEFAULT_REGION: REGION,
  AWS_ENDPOINT_URL: endpoint,
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_PAGER: "",
  HOME: home,
  LC_ALL: "C.UTF-8",
})
