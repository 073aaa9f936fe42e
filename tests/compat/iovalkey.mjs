import Redis from 'iovalkey';
import { exerciseIoredis } from './ioredis_suite.mjs';

await exerciseIoredis('iovalkey', Redis, { 'RESP 2': {} });
