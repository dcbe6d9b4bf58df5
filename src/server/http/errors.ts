/** Every refusal as `{ code, message, advice }`; what was not foreseen is logged and told to nobody. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { AssayError } from '../../bytes/index.ts';
import { isRefusalCode, REFUSALS } from '../../evidence/index.ts';
import { ServerError, type ServerErrorCode } from '../error.ts';
import type { App } from './app.ts';

export function answerErrors(app: App, log: Logger): void {
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log));
  app.setNotFoundHandler((request, reply) => {
    const error = new ServerError('request.not-found', `there is no ${request.method} ${pathOf(request)}`);
    return sendError(error, request, reply, log);
  });
}

function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  const error = foreseen(thrown);
  if (error === undefined) {
    log.error({ err: thrown, method: request.method, path: pathOf(request) }, 'a request failed unforeseen');
    return sendError(new ServerError('server.fault', 'the server failed; its log says more'), request, reply, log);
  }
  const { code, message, advice = null } = error;
  const statusCode = statusOf(error);
  if (statusCode === 401) void reply.header('www-authenticate', 'Bearer');
  if (statusCode >= 400 && !request.raw.readableEnded) void reply.header('connection', 'close'); // the body is not read on
  return reply.code(statusCode).type('application/json; charset=utf-8').send(JSON.stringify({ code, message, advice }));
}

/** The path without its query, which may hold a one-time token. */
function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

function foreseen(thrown: unknown): AssayError | undefined {
  if (thrown instanceof AssayError) return thrown;
  return isFastifyError(thrown) ? new ServerError(codeOf(thrown), thrown.message) : undefined;
}

function statusOf(error: AssayError): number {
  if (error instanceof ServerError) return error.statusCode;
  return isRefusalCode(error.code) ? REFUSALS[error.code].status : 422;
}

function isFastifyError(thrown: unknown): thrown is FastifyError {
  return (
    thrown instanceof Error &&
    'statusCode' in thrown &&
    typeof thrown.statusCode === 'number' &&
    thrown.statusCode < 500
  );
}

function codeOf({ statusCode }: FastifyError): ServerErrorCode {
  switch (statusCode) {
    case 404:
      return 'request.not-found';
    case 413:
      return 'request.too-large';
    case 415:
      return 'request.media-type';
    default:
      return 'request.invalid';
  }
}
