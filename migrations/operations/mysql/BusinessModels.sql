CREATE TABLE IF NOT EXISTS `BusinessModels` (
    `id` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    `businessId` BIGINT NOT NULL,
    `valueProposition` TEXT,
    `customerSegments` TEXT,
    `channels` TEXT,
    `revenueStreams` TEXT,
    `canvas` JSON,
    `createdAt` DATETIME(3) NOT NULL,
    `updatedAt` DATETIME(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
