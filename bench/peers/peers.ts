/**
 * The stores that people compare with this one: how each is found, started with synchronous writes on one folder, and reached
 * with the same keys. What is not on the machine is left out.
 */
import { access, constants, mkdir, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"

/** Keys that every store accepts: Garage wants `GK` and 24 hexadecimal digits, and 64 of them as the secret. */
export const KEYS = { id: `GK${"0123456789ab".repeat(2)}`, secret: "cafe".repeat(16) } as const
/** Garage refuses others. */
export const REGION = "us-east-1"

/** The place where a store runs: everything is below the folder. */
export interface Place {
  readonly folder: string
  /** The first of five free ports in a row, the one of S3. */
  readonly port: number
}

export interface Peer {
  readonly name: string
  /** Names of its program. */
  readonly programs: readonly string[]
  /** Arguments that make the program print its version. */
  readonly version: readonly string[]
  /** How its answers relate to the disk, with the settings below. */
  readonly durability: string
  /** Makes files that it needs. */
  prepare?(place: Place): Promise<void>
  /** Arguments that serve, and variables. */
  serve(place: Place): { readonly args: readonly string[]; readonly environment?: Readonly<Record<string, string>> }
  /** Commands to run once its port answers: arguments, and what they read. */
  settle?(place: Place): readonly { readonly args: readonly string[]; readonly input?: string }[]
}

const at = (port: number): string => `127.0.0.1:${port}`
const data = ({ folder }: Place): string => join(folder, "data")

export const HAYLOFT: Peer = {
  name: "Hayloft",
  programs: ["hayloft"],
  version: ["--version"],
  durability: "on the disk before the answer, always",
  serve: place => ({
    args: [
      "serve",
      "--data",
      data(place),
      "--listen",
      at(place.port),
      "--admin-listen",
      at(place.port + 1),
      "--log-level",
      "warn",
    ],
    environment: { HAYLOFT_ROOT_ACCESS_KEY: KEYS.id, HAYLOFT_ROOT_SECRET_KEY: KEYS.secret },
  }),
}

export const MINIO: Peer = {
  name: "MinIO",
  programs: ["minio"],
  version: ["--version"],
  durability: "on the disk before the answer",
  serve: place => ({
    args: ["server", data(place), "--address", at(place.port), "--console-address", at(place.port + 1), "--quiet"],
    environment: {
      MINIO_ROOT_USER: KEYS.id,
      MINIO_ROOT_PASSWORD: KEYS.secret,
      MINIO_BROWSER: "off",
      MINIO_UPDATE: "off",
    },
  }),
}

const SEAWEEDFS: Peer = {
  name: "SeaweedFS",
  programs: ["weed"],
  version: ["version"],
  durability: "`fsync` set for all buckets; the filer's own database is not synchronised",
  async prepare(place) {
    const identities = [
      {
        name: "bench",
        credentials: [{ accessKey: KEYS.id, secretKey: KEYS.secret }],
        actions: ["Admin", "Read", "Write", "List"],
      },
    ]
    await writeFile(join(place.folder, "s3.json"), JSON.stringify({ identities }))
  },
  serve: place => ({
    args: [
      "server",
      `-dir=${data(place)}`,
      "-ip=127.0.0.1",
      "-ip.bind=127.0.0.1",
      "-s3",
      `-s3.port=${place.port}`,

      `-s3.config=${join(place.folder, "s3.json")}`,
      `-master.port=${place.port + 1}`,
      `-volume.port=${place.port + 2}`,
      `-filer.port=${place.port + 3}`,
      "-volume.max=16",
      "-master.volumeSizeLimitMB=256",
    ],
  }),
  settle: place => [
    {
      args: ["shell", `-master=${at(place.port + 1)}`, `-filer=${at(place.port + 3)}`],
      input: "fs.configure -locationPrefix=/buckets/ -fsync=true -apply\n",
    },
  ],
}

const garageFile = ({ folder }: Place): string => join(folder, "garage.toml")

const GARAGE: Peer = {
  name: "Garage",
  programs: ["garage"],
  version: ["--version"],
  durability: "`metadata_fsync` and `data_fsync` set",
  prepare: place =>
    writeFile(
      garageFile(place),
      [
        `metadata_dir = "${join(place.folder, "meta")}"`,
        `data_dir = "${data(place)}"`,
        'db_engine = "lmdb"',
        "metadata_fsync = true",
        "data_fsync = true",
        "replication_factor = 1",
        `rpc_bind_addr = "${at(place.port + 1)}"`,
        `rpc_public_addr = "${at(place.port + 1)}"`,

        `rpc_secret = "${"ab".repeat(32)}"`,
        "[s3_api]",
        `s3_region = "${REGION}"`,
        `api_bind_addr = "${at(place.port)}"`,
        "[admin]",
        `api_bind_addr = "${at(place.port + 2)}"`,
        "",
      ].join("\n"),
    ),
  serve: place => ({ args: ["-c", garageFile(place), "server", "--single-node"] }),
  settle: place => [
    { args: ["-c", garageFile(place), "key", "import", "--yes", KEYS.id, KEYS.secret, "-n", "bench"] },
    { args: ["-c", garageFile(place), "key", "allow", "--create-bucket", KEYS.id] },
  ],
}

const VERSITYGW: Peer = {
  name: "versitygw",
  programs: ["versitygw"],
  version: ["--version"],
  durability: "**not synchronised**: its POSIX backend has no setting for it",
  serve: place => ({
    args: [
      "--port",
      at(place.port),
      "--access",
      KEYS.id,
      "--secret",
      KEYS.secret,
      "--region",
      REGION,
      "--quiet",
      "posix",
      data(place),
    ],
  }),
}

export const PEERS: readonly Peer[] = [HAYLOFT, MINIO, SEAWEEDFS, GARAGE, VERSITYGW]

/** Finds the store's program in the given search path; undefined if it is not installed. */
export async function findPeer({ programs }: Peer, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    for (const program of programs) {
      const file = join(folder, program)
      const isThere = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (folder !== "" && isThere) return file
    }
  }
  return undefined
}

export async function makePlace(place: Place, peer: Peer): Promise<void> {
  await mkdir(data(place), { recursive: true })
  await peer.prepare?.(place)
}
