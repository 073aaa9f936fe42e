import { Redis } from 'ioredis';
import { exerciseIoredis } from './ioredis_suite.mjs';

await exerciseIoredis('ioredis', Redis);
