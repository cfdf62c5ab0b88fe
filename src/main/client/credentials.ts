/**
 * What a client needs to reach a store: its two addresses, a key pair and the admin token.
 *
 * The shapes agreed between a running server (which writes the `runtime` file), the data folder
 * (which holds the sealed secrets) and the command line.
 */

/** Everything that the root of a store on this machine may use. Holds secrets: never logged. */
export interface StoreCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
  /** As `http://127.0.0.1:9000`; of the running server, else of its last start. */
  readonly endpoint: string
  readonly adminEndpoint: string
  readonly adminToken: string
}

/**
 * Unseals the root credentials from the data folders of a store, running or not.
 * Throws `wrongMasterKey`, `foreignFolder`, `folderNotEmpty`, `devicesMissing`, or `invalidConfig` where no store is.
 */
export type UnsealRootCredentials = (
  dataFolders: readonly string[],
  masterKeyFile: string | undefined,
) => Promise<StoreCredentials>

/** The file `runtime` in each data folder, in JSON, written by a started server; nothing in it is secret. */
export interface RuntimeFile {
  readonly endpoint: string
  readonly adminEndpoint: string
  readonly region: string
  readonly pid: number
}

export const RUNTIME_FILE_NAME = "runtime"
