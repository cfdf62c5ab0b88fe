/** Limits of transforms: of their inputs and results, of their processes, and of what waits for them. */
import { KIB, MIB } from "@hayloft/base/limits.js"

export const TRANSFORM_LIMITS = {
  /** Bytes that steps get whole; larger objects are skipped by them. */
  inputBytesMax: 32 * MIB,
  outputBytesMax: 32 * MIB,
  /** How long one process works at all steps of a pipeline. */
  taskMs: 20_000,
  /** The JavaScript heap of a process. */
  heapMib: 512,
  /** The memory of a WebAssembly module. */
  moduleMemoryMib: 256,
  moduleBytesMax: 16 * MIB,
  modulesMax: 100,
  /** Pixels of an image before and after. */
  pixelsMax: 50_000_000,
  /** The memory that the image library takes outside of the JavaScript heap, for all images at a time. */
  nativeBytesMax: 640 * MIB,
  /** Tasks that wait for a process. */
  waitingMax: 256,
  /** Results that are made at the same time, each with its input and its output in memory; others wait. */
  makingMax: 4,
  /** Requests that wait for a result to be made, and for how long before it is begun. */
  makingWaitMax: 256,
  makingWaitMs: 30_000,
  /** Results in memory that are being sent and are not kept, in all and of one bucket. Several serving threads divide them. */
  sentBytesMax: 256 * MIB,
  sentBytesOfBucketMax: 64 * MIB,
  /** Answers that are compressed while they are sent, each with a few pieces in memory. Several serving threads divide them. */
  streamsMax: 64,
  /** Objects that were written and whose results wait to be made. Others are made when they are read. */
  writtenMax: 1_000,
  writtenOfBucketMax: 100,
  /** Bytes that are compressed at once. */
  pieceBytes: MIB,
  /** Pieces of one answer that are compressed before they are wanted. */
  piecesAhead: 1,
  /** A pipeline as text. */
  textBytesMax: KIB,
  stepsMax: 8,
  /** Archives that are read through at once, and how long that may take. */
  indexingMax: 2,
  indexingMs: 10 * 60_000,
  /** Members of an archive. */
  membersMax: 1_000_000,
  /** Bytes of all archive indexes in memory. */
  indexBytesMax: 64 * MIB,
  /** Members in one listing. */
  listedMax: 10_000,
} as const
