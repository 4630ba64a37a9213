# A test input, not code of this project: what the source document (section 1.1) gives its services as their logger,
# kept as it stands there, mistakes included. Its output is what log-processor has to be able to read: see
# tests/python_logger.rs, which runs it and, where the document is at hand, checks that it is the same. Below the
# line it must not be edited.
# ----
# logging/structured_logger.py
import json
import logging
import time
import traceback
from datetime import datetime
from typing import Dict, Any, Optional
from dataclasses import dataclass, asdict
from enum import Enum
import uuid

class LogLevel(Enum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

class LogCategory(Enum):
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    BUSINESS_LOGIC = "business_logic"
    DATABASE = "database"
    EXTERNAL_API = "external_api"
    PERFORMANCE = "performance"
    SECURITY = "security"
    SYSTEM = "system"

@dataclass
class LogContext:
    request_id: str
    user_id: Optional[str] = None
    session_id: Optional[str] = None
    service_name: str = "land-contracts"
    environment: str = "production"
    version: str = "1.0.0"
    trace_id: Optional[str] = None
    span_id: Optional[str] = None

@dataclass
class LogEntry:
    timestamp: str
    level: LogLevel
    category: LogCategory
    message: str
    context: LogContext
    details: Optional[Dict[str, Any]] = None
    error: Optional[Dict[str, Any]] = None
    duration_ms: Optional[float] = None

class StructuredLogger:
    def __init__(self, service_name: str = "land-contracts"):
        self.service_name = service_name
        self.logger = logging.getLogger(service_name)
        
        # Настройка формата для CloudWatch
        formatter = logging.Formatter('%(message)s')
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        self.logger.addHandler(handler)
        self.logger.setLevel(logging.INFO)
    
    def _create_context(self, **kwargs) -> LogContext:
        """Создание контекста логирования"""
        return LogContext(
            request_id=kwargs.get('request_id', str(uuid.uuid4())),
            user_id=kwargs.get('user_id'),
            session_id=kwargs.get('session_id'),
            service_name=self.service_name,
            environment=kwargs.get('environment', 'production'),
            version=kwargs.get('version', '1.0.0'),
            trace_id=kwargs.get('trace_id'),
            span_id=kwargs.get('span_id')
        )
    
    def _log(self, level: LogLevel, category: LogCategory, message: str, 
             context: LogContext, details: Dict[str, Any] = None, 
             error: Exception = None, duration_ms: float = None):
        """Создание и отправка лога"""
        log_entry = LogEntry(
            timestamp=datetime.utcnow().isoformat(),
            level=level,
            category=category,
            message=message,
            context=context,
            details=details,
            error=self._serialize_error(error) if error else None,
            duration_ms=duration_ms
        )
        
        # Отправка в CloudWatch
        self.logger.info(json.dumps(asdict(log_entry), default=str))
    
    def debug(self, category: LogCategory, message: str, **kwargs):
        context = self._create_context(**kwargs)
        self._log(LogLevel.DEBUG, category, message, context, kwargs.get('details'))
    
    def info(self, category: LogCategory, message: str, **kwargs):
        context = self._create_context(**kwargs)
        self._log(LogLevel.INFO, category, message, context, kwargs.get('details'))
    
    def warning(self, category: LogCategory, message: str, **kwargs):
        context = self._create_context(**kwargs)
        self._log(LogLevel.WARNING, category, message, context, kwargs.get('details'))
    
    def error(self, category: LogCategory, message: str, error: Exception = None, **kwargs):
        context = self._create_context(**kwargs)
        self._log(LogLevel.ERROR, category, message, context, kwargs.get('details'), error)
    
    def critical(self, category: LogCategory, message: str, error: Exception = None, **kwargs):
        context = self._create_context(**kwargs)
        self._log(LogLevel.CRITICAL, category, message, context, kwargs.get('details'), error)
    
    def log_performance(self, operation: str, duration_ms: float, **kwargs):
        """Логирование производительности"""
        context = self._create_context(**kwargs)
        details = {
            'operation': operation,
            'duration_ms': duration_ms
        }
        self._log(LogLevel.INFO, LogCategory.PERFORMANCE, f"Operation: {operation}", 
                 context, details, duration_ms=duration_ms)
    
    def log_api_call(self, method: str, url: str, status_code: int, 
                    duration_ms: float, **kwargs):
        """Логирование API вызовов"""
        context = self._create_context(**kwargs)
        details = {
            'method': method,
            'url': url,
            'status_code': status_code,
            'duration_ms': duration_ms
        }
        self._log(LogLevel.INFO, LogCategory.EXTERNAL_API, 
                 f"API call: {method} {url}", context, details, duration_ms=duration_ms)
    
    def log_database_query(self, query_type: str, table: str, duration_ms: float, 
                          rows_affected: int = None, **kwargs):
        """Логирование запросов к базе данных"""
        context = self._create_context(**kwargs)
        details = {
            'query_type': query_type,
            'table': table,
            'duration_ms': duration_ms,
            'rows_affected': rows_affected
        }
        self._log(LogLevel.DEBUG, LogCategory.DATABASE, 
                 f"Database query: {query_type} on {table}", context, details, duration_ms=duration_ms)
    
    def log_security_event(self, event_type: str, user_id: str = None, 
                          ip_address: str = None, **kwargs):
        """Логирование событий безопасности"""
        context = self._create_context(user_id=user_id, **kwargs)
        details = {
            'event_type': event_type,
            'ip_address': ip_address,
            'user_agent': kwargs.get('user_agent')
        }
        self._log(LogLevel.INFO, LogCategory.SECURITY, 
                 f"Security event: {event_type}", context, details)
    
    def _serialize_error(self, error: Exception) -> Dict[str, Any]:
        """Сериализация ошибки"""
        return {
            'type': type(error).__name__,
            'message': str(error),
            'traceback': traceback.format_exc()
        }

# Декоратор для логирования производительности
def log_performance(logger: StructuredLogger, operation: str):
    def decorator(func):
        def wrapper(*args, **kwargs):
            start_time = time.time()
            try:
                result = func(*args, **kwargs)
                duration_ms = (time.time() - start_time) * 1000
                logger.log_performance(operation, duration_ms)
                return result
            except Exception as e:
                duration_ms = (time.time() - start_time) * 1000
                logger.error(LogCategory.BUSINESS_LOGIC, 
                           f"Operation failed: {operation}", e, duration_ms=duration_ms)
                raise
        return wrapper
    return decorator

# Декоратор для логирования API вызовов
def log_api_call(logger: StructuredLogger):
    def decorator(func):
        def wrapper(request, *args, **kwargs):
            start_time = time.time()
            method = request.method
            url = request.get_full_path()
            
            try:
                response = func(request, *args, **kwargs)
                duration_ms = (time.time() - start_time) * 1000
                logger.log_api_call(method, url, response.status_code, duration_ms)
                return response
            except Exception as e:
                duration_ms = (time.time() - start_time) * 1000
                logger.log_api_call(method, url, 500, duration_ms)
                raise
        return wrapper
    return decorator
