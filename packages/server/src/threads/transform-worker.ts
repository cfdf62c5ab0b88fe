/**
 * Entry point of a process that transforms objects.
 */
import { serveSandbox } from "@hayloft/base/seams/sandbox/index.js"
import { handleTask } from "@hayloft/features/transforms/worker/serve.js"

serveSandbox(handleTask)
