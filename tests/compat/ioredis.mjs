import { Redis } from 'ioredis';
import { exerciseIoredis } from './ioredis_suite.mjs';

await exerciseIoredis('ioredis', Redis, { 'RESP 2': { protocol: 2 }, 'RESP 3': { protocol: 3 } });
