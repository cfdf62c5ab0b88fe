/** Banner: the output of a start: addresses, redundancy, warnings, and three ways to store a first object. */
interface BannerFacts {
  readonly version: string
  readonly endpoint: string
  readonly adminEndpoint: string
  readonly region: string
  readonly accessKeyId: string
  /** Only at the first start of a store with a generated root key. */
  readonly secret: string | undefined
  readonly dataFolders: readonly string[]
  /** The command line uses this data folder by default. */
  readonly isDefaultData: boolean
  readonly redundancy: string
  readonly warnings: readonly string[]
}

const foldersInWords = (folders: readonly string[]): string =>
  folders.length <= 2
    ? folders.join(", ")
    : `${folders[0] ?? ""} ... ${folders.at(-1) ?? ""} (${folders.length} folders)`

export function bannerOf(facts: BannerFacts): string {
  const { endpoint, adminEndpoint, region, accessKeyId, secret } = facts
  const credentials = 'eval "$(./bin/hayloft env)"'
  const sign = `--aws-sigv4 "aws:amz:${region}:s3" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'`
  const lines = [
    `Hayloft ${facts.version}  S3 ${endpoint}  region ${region}  admin ${adminEndpoint}`,
    secret === undefined
      ? `Access key  ${accessKeyId}  (its secret: ./bin/hayloft env)`
      : `Access key  ${accessKeyId}  secret ${secret}  (shown only once; later: ./bin/hayloft env)`,
    `Data        ${foldersInWords(facts.dataFolders)}`,
    `Redundancy  ${facts.redundancy}`,
    ...facts.warnings.map(warning => `Warning     ${warning}`),
    "A first object, in another terminal:",
    ...(facts.isDefaultData ? [] : [`  export HAYLOFT_DATA='${facts.dataFolders.join(",")}'`]),
    "  ./bin/hayloft cp README.md s3://first/",
    `  ${credentials}; curl -X PUT ${endpoint}/second ${sign}; curl -T README.md ${endpoint}/second/ ${sign}`,
    `  ${credentials}; aws s3 mb s3://third && aws s3 cp README.md s3://third/`,
  ]
  return `${lines.join("\n")}\n`
}
