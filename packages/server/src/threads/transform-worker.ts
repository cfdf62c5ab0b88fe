/**
 * Entry point of a thread that transforms objects.
 */
import { serveSandbox } from "@hayloft/base/seams/sandbox/index.js"
import { buffersOf, handleTask } from "@hayloft/features/transforms/worker/serve.js"

serveSandbox(handleTask, buffersOf)
